//! Style as a test: what `CONTRIBUTING.md` asks for and no compiler checks, by plainly reading the repository's files.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A file longer than this has more than one subject.
const FILE_LINES_MAX: usize = 500;
/// The architecture page is read in one go.
const ARCHITECTURE_LINES_MAX: usize = 300;

/// Longer files, with the reason. The list only shrinks.
const LONG_FILES: &[(&str, &str)] = &[];

/// What is unwrapped outside tests: file, a part of the line, why it cannot fail. The list only shrinks.
const UNWRAPPED: &[(&str, &str, &str)] = &[
    ("crates/delivery/src/sender/signature.rs", "HMAC takes any key", "HMAC takes keys of any length"),
    (
        "crates/delivery/src/sender/tls.rs",
        "ring supports the default versions",
        "provider and versions are compiled in, so that the first test would fail",
    ),
];

/// Settings that have no line in the TOML file.
const NOT_IN_THE_FILE: [&str; 6] = ["CONFIG", "URL", "API_KEY", "API_KEY_FILE", "FROM", "TO"];

/// Folders that hold nothing of ours, beside hidden ones and those that cargo marks.
const FOREIGN_FOLDERS: [&str; 4] = ["target", "callhook-data", "node_modules", "__pycache__"];
const OUR_HIDDEN_NAMES: [&str; 4] = [".cargo", ".ci", ".github", ".gitignore"];
const TEXT_EXTENSIONS: [&str; 14] =
    ["rs", "md", "py", "mjs", "js", "php", "toml", "sql", "sh", "json", "txt", "yml", "html", "css"];

#[test]
fn every_rust_file_opens_with_what_it_is_for() {
    let mut findings = Findings::default();
    for file in files().iter().filter(|file| file.has_extension("rs")) {
        if !file.text.starts_with("//! ") {
            findings.add(file, 1, "the first line is to be a `//!` sentence that says what the file is for");
        }
    }
    findings.none();
}

#[test]
fn sql_stays_in_the_store() {
    const STATEMENTS: [(&str, &str); 4] =
        [("SELECT", "FROM"), ("INSERT", "INTO"), ("UPDATE", "SET"), ("DELETE", "FROM")];
    const STATEMENT_LINES: usize = 8;
    let mut findings = Findings::default();
    let is_elsewhere = |file: &&File| file.has_extension("rs") && !file.path.starts_with("crates/store/");
    for file in files().iter().filter(is_elsewhere) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| !is_comment(line)) {
            for (verb, preposition) in STATEMENTS {
                let Some(at) = find_word(line, verb) else { continue };
                let rest = lines[index + 1..].iter().take(STATEMENT_LINES).copied();
                let tail = std::iter::once(&line[at..]).chain(rest).collect::<Vec<_>>().join("\n");
                let literal = tail.split('"').next().unwrap_or_default();
                if find_word(literal, preposition).is_some() {
                    findings.add(file, index + 1, "a statement of SQL: it belongs into crates/store");
                }
            }
        }
    }
    findings.none();
}

#[test]
fn nothing_is_left_to_be_done() {
    // Written in two parts, so that this file does not find itself.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let macros = [concat!("to", "do!("), concat!("unimple", "mented!(")];
    let mut findings = Findings::default();
    for file in files().iter().filter(|file| !file.has_extension("md")) {
        for (number, line) in file.lines() {
            let word = words.iter().find(|word| find_word(line, word).is_some());
            if let Some(found) = word.or_else(|| macros.iter().find(|name| line.contains(**name))) {
                findings.add(file, number, &format!("{found} is left: finish it, or open an issue"));
            }
        }
    }
    findings.none();
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    let mut findings = Findings::default();
    let mut used = BTreeSet::new();
    // The benchmark is run by who reads its panics.
    let is_run = |file: &&File| file.is_program() && !file.path.starts_with("crates/bench/");
    for file in files().iter().filter(is_run) {
        for (number, line) in file.lines_outside_tests() {
            if !line.contains(".unwrap()") && !line.contains(".expect(") {
                continue;
            }
            match UNWRAPPED.iter().position(|(path, part, _)| *path == file.path && line.contains(part)) {
                Some(index) => drop(used.insert(index)),
                None => findings.add(file, number, "unwrap or expect outside a test: return an error"),
            }
        }
    }
    for (index, (path, part, _)) in UNWRAPPED.iter().enumerate() {
        if !used.contains(&index) {
            findings.add_text(format!("{path}: {part:?} is not there any more: take it off the list"));
        }
    }
    findings.none();
}

#[test]
fn no_file_is_too_long() {
    let mut findings = Findings::default();
    for file in files().iter().filter(|file| file.has_extension("rs") || file.has_extension("py")) {
        let lines = file.text.lines().count();
        let is_listed = LONG_FILES.iter().any(|(path, _)| *path == file.path);
        if lines > FILE_LINES_MAX && !is_listed {
            findings.add(
                file,
                lines,
                &format!("more than {FILE_LINES_MAX} lines: give each subject its file"),
            );
        }
        if lines <= FILE_LINES_MAX && is_listed {
            findings.add(file, lines, "is short by now: take it off the list");
        }
    }
    let architecture = read("docs/architecture.md");
    let lines = architecture.text.lines().count();
    if lines > ARCHITECTURE_LINES_MAX {
        findings.add(&architecture, lines, &format!("more than {ARCHITECTURE_LINES_MAX} lines"));
    }
    findings.none();
}

#[test]
fn every_setting_is_documented_with_its_three_names() {
    let mut findings = Findings::default();
    let documentation = read("docs/configuration.md");
    let mut known = BTreeSet::new();
    for file in files().iter().filter(|file| file.path.starts_with("crates/callhook/src/")) {
        for (number, line) in file.lines_outside_tests() {
            let Some((_, rest)) = line.split_once("env = \"CALLHOOK_") else { continue };
            let name = rest.split('"').next().unwrap_or_default();
            known.insert(name.to_owned());
            let flag = format!("`--{}`", name.to_lowercase().replace('_', "-"));
            let line_names = [format!("`CALLHOOK_{name}`"), flag, format!("`{}`", name.to_lowercase())];
            // The file's own place cannot stand in the file, nor what a client of the server is told.
            let names = if NOT_IN_THE_FILE.contains(&name) { &line_names[..2] } else { &line_names[..] };
            let is_row =
                |row: &str| row.starts_with('|') && names.iter().all(|name| row.contains(name.as_str()));
            if !documentation.text.lines().any(is_row) {
                findings.add(
                    file,
                    number,
                    &format!("docs/configuration.md has no row with {}", names.join(", ")),
                );
            }
        }
    }
    assert!(!known.is_empty(), "the settings are not where this test looks for them");
    for (number, line) in documentation.lines() {
        for name in line.split("`CALLHOOK_").skip(1).filter_map(|rest| rest.split(['`', '=']).next()) {
            if !known.contains(name) {
                findings.add(&documentation, number, &format!("there is no setting CALLHOOK_{name}"));
            }
        }
    }
    findings.none();
}

#[test]
fn the_changelog_is_made_of_sentences() {
    const GROUPS: [&str; 6] = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
    let mut findings = Findings::default();
    let changelog = read("CHANGELOG.md");
    let mut entry: Option<(usize, String)> = None;
    for (number, line) in changelog.lines().chain(std::iter::once((0, ""))) {
        if let Some((_, text)) = entry.as_mut().filter(|_| line.starts_with("  ")) {
            text.push(' ');
            text.push_str(line.trim());
            continue;
        }
        if let Some((at, text)) = entry.take()
            && !(text.starts_with(|c: char| c.is_uppercase() || c == '`') && text.ends_with('.'))
        {
            findings.add(&changelog, at, "an entry is a whole sentence from the user's side");
        }
        if let Some(text) = line.strip_prefix("- ") {
            entry = Some((number, text.trim().to_owned()));
        } else if let Some(group) = line.strip_prefix("### ") {
            if !GROUPS.contains(&group) {
                findings.add(&changelog, number, &format!("a group is one of {}", GROUPS.join(", ")));
            }
        } else if line.starts_with("## ") && !line.starts_with("## [") {
            findings.add(
                &changelog,
                number,
                "a version is written as `## [1.2.3] - 2026-03-30` or `## [Unreleased]`",
            );
        }
    }
    if !changelog.text.contains("\n## [Unreleased]\n") {
        findings.add(&changelog, 1, "the section `## [Unreleased]` is missing");
    }
    findings.none();
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    // Written in two parts, so that this file does not find itself.
    let folders =
        [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
    let mut findings = Findings::default();
    for file in &files() {
        for (number, line) in file.lines() {
            let is_outside =
                |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-/}$".contains(c));
            let is_path = |folder: &str| line.match_indices(folder).any(|(at, _)| is_outside(at));
            if let Some(folder) = folders.into_iter().find(|folder| is_path(folder)) {
                findings.add(file, number, &format!("a path under {folder} exists on one machine only"));
            }
        }
    }
    findings.none();
}

#[test]
fn migrations_are_numbered_without_gaps_and_alike_for_every_engine() {
    let mut findings = Findings::default();
    let folder = root().join("crates/store/migrations");
    let mut first: Option<(String, Vec<String>)> = None;
    for engine in names_in(&folder) {
        let names = names_in(&folder.join(&engine));
        let runner = read(&format!("crates/store/src/engine/{engine}/migrations.rs"));
        for (index, name) in names.iter().enumerate() {
            let path = format!("crates/store/migrations/{engine}/{name}");
            let is_sql = Path::new(name).extension().is_some_and(|extension| extension == "sql");
            if !name.starts_with(&format!("{:04}_", index + 1)) || !is_sql {
                findings.add_text(format!("{path}: the file at this place is named {:04}_….sql", index + 1));
            }
            let step = name.trim_end_matches(".sql");
            if !runner.text.contains(&format!("/{name}\")")) && !runner.text.contains(&format!("\"{step}\""))
            {
                findings.add_text(format!("{path}: {} does not run it", runner.path));
            }
        }
        match &first {
            None => first = Some((engine, names)),
            Some((other, expected)) if *expected != names => {
                findings
                    .add_text(format!("migrations of {engine} and {other} differ: {names:?}, {expected:?}"));
            }
            Some(_) => {}
        }
    }
    assert!(first.is_some(), "there are no migrations where this test looks for them");
    findings.none();
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut findings = Findings::default();
    for file in files().iter().filter(|file| file.has_extension("md")) {
        for (number, line) in file.lines_outside_code() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.starts_with("http://") || link.starts_with("https://") {
                    continue;
                }
                let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
                let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
                let target = if path.is_empty() { PathBuf::from(&file.path) } else { folder.join(path) };
                if !root().join(&target).exists() {
                    findings.add(file, number, &format!("{link} leads to nothing"));
                } else if !anchor.is_empty() && !anchors(&root().join(target)).contains(anchor) {
                    findings.add(file, number, &format!("{link} names a heading that is not there"));
                }
            }
        }
    }
    findings.none();
}

#[test]
fn the_tests_that_the_architecture_names_exist() {
    let mut findings = Findings::default();
    let code: String = files()
        .iter()
        .filter(|file| file.has_extension("rs") || file.has_extension("py"))
        .map(|file| &*file.text)
        .collect();
    let architecture = read("docs/architecture.md");
    let of_invariants = architecture.lines().skip_while(|(_, line)| !line.starts_with("## Invariants"));
    let mut named = 0;
    for (number, line) in of_invariants {
        // A test's name is several words; a shorter name in this section is a field or a function.
        let is_test = |name: &&str| name.matches('_').count() >= 3 && !name.contains([' ', '/', ':', '.']);
        for name in line.split('`').skip(1).step_by(2).filter(is_test) {
            named += 1;
            if !code.contains(&format!("fn {name}(")) && !code.contains(&format!("def {name}(")) {
                findings.add(&architecture, number, &format!("there is no test named {name}"));
            }
        }
    }
    assert!(named > 0, "docs/architecture.md names no tests under its heading Invariants");
    findings.none();
}

#[test]
fn scripts_can_be_executed() {
    let mut findings = Findings::default();
    for file in files().iter().filter(|file| file.text.starts_with("#!/")) {
        let mode = fs::metadata(root().join(&file.path)).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o111 == 0 {
            findings.add(file, 1, "names its interpreter but is not executable: chmod +x");
        }
    }
    findings.none();
}

/// One file of the repository.
struct File {
    /// From the repository's root, with `/`.
    path: String,
    text: String,
}

impl File {
    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// Rust that is part of a program, not of its tests.
    fn is_program(&self) -> bool {
        let is_test = self.path.contains("/tests/") || self.path.ends_with("/tests.rs");
        self.path.starts_with("crates/")
            && self.path.contains("/src/")
            && self.has_extension("rs")
            && !is_test
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Lines of code before the module of tests at the file's end.
    fn lines_outside_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.text.find("#[cfg(test)]\nmod tests").unwrap_or(self.text.len());
        let count = self.text[..tests].lines().count();
        self.lines().take(count).filter(|(_, line)| !is_comment(line))
    }

    /// Lines of a document that are no code.
    fn lines_outside_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_code = false;
        self.lines().filter(move |(_, line)| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        })
    }
}

/// What is wrong, to be told all at once.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, file: &File, line: usize, what: &str) {
        self.add_text(format!("{}:{line}: {what}", file.path));
    }

    fn add_text(&mut self, text: String) {
        self.0.push(text);
    }

    #[track_caller]
    fn none(self) {
        assert!(self.0.is_empty(), "\n{}\n", self.0.join("\n"));
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[track_caller]
fn read(path: &str) -> File {
    match fs::read_to_string(root().join(path)) {
        Ok(text) => File { path: path.to_owned(), text },
        Err(error) => panic!("{path} cannot be read: {error}"),
    }
}

/// Every text file of the repository, in the order of paths.
fn files() -> Vec<File> {
    let mut found = Vec::new();
    walk("", &mut found);
    assert!(found.len() > 50, "the repository is not where this test looks for it");
    found
}

fn walk(folder: &str, found: &mut Vec<File>) {
    let is_foreign = |name: &String| {
        let is_hidden = name.starts_with('.') && !OUR_HIDDEN_NAMES.contains(&name.as_str());
        is_hidden || FOREIGN_FOLDERS.contains(&name.as_str())
    };
    for name in names_in(&root().join(folder)).into_iter().filter(|name| !is_foreign(name)) {
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let full = root().join(&path);
        if full.is_dir() {
            if !full.join("CACHEDIR.TAG").exists() && !full.join("pyvenv.cfg").exists() {
                walk(&path, found);
            }
            continue;
        }
        let extension = Path::new(&name).extension().and_then(|extension| extension.to_str());
        if extension.is_none_or(|extension| TEXT_EXTENSIONS.contains(&extension))
            && let Ok(text) = fs::read_to_string(&full)
        {
            found.push(File { path, text });
        }
    }
}

/// The names in a folder, sorted.
#[track_caller]
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Where a word begins that is not part of a longer one.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let stands_alone =
        |at: usize| !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part);
    text.match_indices(word).map(|(at, _)| at).find(|at| stands_alone(*at))
}

/// The anchors that a document's headings have.
fn anchors(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let anchor = |heading: &str| -> String {
        let kept = heading.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}
