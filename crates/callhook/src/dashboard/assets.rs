//! Style sheet, script and mark: in the program, under names that change with their content, so that a browser keeps them for good.

use crate::app::App;
use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, LazyLock};

/// A file that pages name.
struct Asset {
    content: &'static str,
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
        let name = URL_SAFE_NO_PAD.encode(&Sha256::digest(content)[..HASH_BYTES]);
        Self { content, media_type, path: format!("{BASE}/{name}.{extension}") }
    }
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
    ([(header::CONTENT_TYPE, ASSETS[2].media_type)], ASSETS[2].content).into_response()
}

async fn read(Path(name): Path<String>) -> Response {
    let path = format!("{BASE}/{name}");
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, asset.content).into_response()
}
