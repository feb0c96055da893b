//! Settings: where they come from, which win, and what is refused.

use super::*;

#[track_caller]
fn check_span(text: &str, expected: Option<u64>) {
    assert_eq!(text.parse::<Span>().ok().map(|span| span.0.as_millis()), expected.map(u128::from), "{text}");
}

#[test]
fn durations_have_one_number_and_one_unit() {
    check_span("1500ms", Some(1_500));
    check_span("30s", Some(30_000));
    check_span("2m", Some(120_000));
    check_span("24h", Some(86_400_000));
    for wrong in ["", "30", "s", "1.5s", "-1s", "1d", "1s ", "99999999999s", "1m30s"] {
        check_span(wrong, None);
    }
}

fn toml(text: &str) -> Result<Settings, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("callhook.toml");
    std::fs::write(&path, text).unwrap();
    let given = Settings { listen: "127.0.0.1:9000".parse().ok(), ..Settings::default() };
    given.or_file(&path)
}

#[test]
fn a_file_fills_what_was_not_given() {
    let settings =
        toml("listen = \"127.0.0.1:1\"\nai_fallback = \"2m\"\nretry_delays = [\"1s\", \"2s\"]\n").unwrap();
    let config = settings.check().unwrap();
    assert_eq!(config.listen.port(), 9000);
    assert_eq!(config.ai_fallback, Duration::from_mins(2));
    assert_eq!(config.retry_schedule.delays_seconds(), [1, 2]);
}

#[test]
fn a_mistyped_setting_is_refused_in_one_sentence() {
    for wrong in ["listn = \"127.0.0.1:1\"", "listen = 1", "retry_delays = [\"soon\"]", "listen"] {
        let refused = toml(wrong).unwrap_err().to_string();
        assert!(refused.contains("is wrong:") && !refused.contains('\n'), "{refused}");
    }
}

#[track_caller]
fn check_refused(settings: Settings, part: &str) {
    let refused = settings.check().unwrap_err().to_string();
    assert!(refused.contains(part), "{refused}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let none = Settings::default;
    check_refused(Settings { secret_key: Some("short".to_owned().into()), ..none() }, "at least 32");
    check_refused(
        Settings { secret_key_file: Some("/nonexistent".into()), ..none() },
        "cannot read the secret",
    );
    check_refused(
        Settings { data_dir: Some("postgres://u:hush@db/calls".into()), ..none() },
        "--data-dir is a folder: a database is named with --database-url",
    );
    check_refused(Settings { public_url: "https://x.example/?a=1".parse().ok(), ..none() }, "--public-url");
    check_refused(Settings { public_url: "https://x.example/calls".parse().ok(), ..none() }, "without path");
    check_refused(Settings { public_url: "ftp://x.example/".parse().ok(), ..none() }, "--public-url");
    check_refused(
        Settings { retry_delays: Some(vec![Span(Duration::from_millis(1))]), ..none() },
        "whole seconds",
    );
    check_refused(
        Settings { retry_delays: Some(vec![Span(Duration::from_hours(73))]), ..none() },
        "72 hours",
    );
    check_refused(Settings { response_timeout: Some(Span(Duration::ZERO)), ..none() }, "--response-timeout");
}

#[test]
fn a_secret_key_is_made_once_and_never_replaced_for_a_store_that_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { data_dir: Some(folder.path().join("data")), ..Settings::default() };
    let config = settings.check().unwrap();
    let made = config.secret_key([7; 32], false).unwrap();
    assert_eq!(config.secret_key([8; 32], true).unwrap(), made);
    let path = config.data_dir.join(SECRET_KEY_FILE);
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap()) & 0o777, 0o600);
    std::fs::remove_file(&path).unwrap();
    assert!(config.secret_key([8; 32], true).unwrap_err().to_string().contains("restore"));
}
