//! Style sheet, script and mark: in the program, under names that change with their content, so that a browser keeps them for good.

use crate::app::App;
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::sync::{Arc, LazyLock};

/// A file that pages name.
struct Asset {
    content: Bytes,
    /// The same for browsers that take it packed, as all do.
    packed: Bytes,
    media_type: &'static str,
    /// `/assets/HASH.css`.
    path: String,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::new(include_str!("../../assets/dashboard.css"), "css", "text/css; charset=utf-8"),
        Asset::new(include_str!("../../assets/dashboard.js"), "js", "text/javascript; charset=utf-8"),
        Asset::new(include_str!("../../assets/mark.svg"), "svg", "image/svg+xml"),
    ]
});

impl Asset {
    fn new(content: &'static str, extension: &str, media_type: &'static str) -> Self {
        let content = bare(content);
        let name = URL_SAFE_NO_PAD.encode(&Sha256::digest(&content)[..HASH_BYTES]);
        Self {
            packed: packed(&content),
            content: content.into(),
            media_type,
            path: format!("{BASE}/{name}.{extension}"),
        }
    }
}

/// Without what is there for who reads the source: indentation, and lines that are a comment. No text in the files goes over lines.
fn bare(content: &str) -> String {
    let is_comment = |line: &str| line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"));
    let lines = content.lines().map(str::trim).filter(|line| !line.is_empty() && !is_comment(line));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn packed(content: &str) -> Bytes {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    // Cannot fail: it is written to memory.
    let _ = packer.write_all(content.as_bytes());
    packer.finish().unwrap_or_default().into()
}

/// Whether the browser takes gzip (RFC 9110, section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

const BASE: &str = "/assets";
/// Bytes of the hash that tell one content from another.
const HASH_BYTES: usize = 9;

/// Where the style sheet is.
pub fn style_sheet() -> &'static str {
    &ASSETS[0].path
}

/// Where the script is.
pub fn script() -> &'static str {
    &ASSETS[1].path
}

/// Where the mark is.
pub fn mark() -> &'static str {
    &ASSETS[2].path
}

/// Serves them.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/assets/{name}", get(read)).route("/favicon.ico", get(favicon))
}

/// Asked for by browsers that were told of no other mark: for an answer of the API, say.
async fn favicon() -> Response {
    ([(header::CONTENT_TYPE, ASSETS[2].media_type)], ASSETS[2].content.clone()).into_response()
}

async fn read(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let path = format!("{BASE}/{name}");
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let about = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "Accept-Encoding"),
    ];
    if takes_gzip(&headers) {
        return (about, [(header::CONTENT_ENCODING, "gzip")], asset.packed.clone()).into_response();
    }
    (about, asset.content.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_indentation_stay_here() {
        assert_eq!(bare("/* The head */\n\n.a {\n  b: c; /* why */\n}\n"), ".a {\nb: c; /* why */\n}\n");
        assert_eq!(bare("// Why.\nif (a) {\n  b(`c`);\n}"), "if (a) {\nb(`c`);\n}\n");
    }

    #[test]
    fn a_browser_gets_it_packed_where_it_takes_that() {
        let check = |accepted: &'static str, expected| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accepted.parse().unwrap())]);
            assert_eq!(takes_gzip(&headers), expected, "{accepted}");
        };
        check("gzip, deflate, br", true);
        check("br, GZIP;q=0.5", true);
        check("br, gzip;q=0", false);
        check("identity", false);
        assert!(!takes_gzip(&HeaderMap::new()));
        assert!(ASSETS[0].packed.len() * 2 < ASSETS[0].content.len());
    }
}
