//! Contracts as files: what others build on is compared with what is committed, so that no change goes unseen.
//!
//! `CALLHOOK_BLESS=1 cargo test --test golden` writes the files anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use clap::CommandFactory as _;
use std::fmt::Write as _;
use std::path::Path;

#[track_caller]
fn check_golden(file: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let actual = format!("{}\n", actual.trim_end());
    if std::env::var_os("CALLHOOK_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let first = actual.lines().zip(expected.lines()).position(|(actual, expected)| actual != expected);
    assert!(actual == expected, "{file} is out of date from line {first:?} on: see the head of this file");
}

#[test]
fn golden_openapi() {
    check_golden("docs/openapi.json", &callhook::api::openapi().to_pretty_json().unwrap());
}

#[test]
fn golden_payload_schema() {
    let schema = domain::payload::Payload::json_schema();
    check_golden("docs/payload.schema.json", &serde_json::to_string_pretty(&schema).unwrap());
}

#[test]
fn golden_help() {
    let mut text = String::new();
    let mut command = callhook::cli::Cli::command().term_width(100);
    command.build();
    write_help(&mut command, &mut text);
    check_golden("docs/help.txt", &text);
}

fn write_help(command: &mut clap::Command, text: &mut String) {
    let help = command.render_help();
    writeln!(text, "$ {} -h\n{help}", command.get_bin_name().unwrap_or("callhook")).unwrap();
    for child in command.get_subcommands_mut().filter(|child| child.get_name() != "help") {
        write_help(child, text);
    }
}
