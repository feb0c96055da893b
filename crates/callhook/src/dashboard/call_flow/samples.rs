//! The repository's samples that verify a signature, for whoever writes an endpoint: each in one file, without a library.

use crate::dashboard::error::PageError;
use crate::dashboard::short;
use axum::extract::Path;
use axum::response::Response;

const SAMPLES: [(&str, &str); 3] = [
    ("verify.py", include_str!("../../../../../samples/verify-signature/verify.py")),
    ("verify.mjs", include_str!("../../../../../samples/verify-signature/verify.mjs")),
    ("verify.php", include_str!("../../../../../samples/verify-signature/verify.php")),
];

/// One of them, as text.
pub async fn read(Path(name): Path<String>) -> Result<Response, PageError> {
    let sample = SAMPLES.into_iter().find(|(known, _)| *known == name);
    sample.map(|(_, text)| short::whole(text)).ok_or(PageError::NotFound)
}
