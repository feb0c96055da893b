//! API keys: made here, shown once.

use super::{App, document};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::api_key::{ApiKey, KeyText, PREFIX, Role};
use domain::id::BusinessId;
use domain::limits::NAME_CHARS_MAX;
use domain::{Invalid, World, text};
use serde::Deserialize;
use store::StoreResult;
use store::api_key::KeyMaker;
use store::idempotency::{Answer, Once, Render};
use utoipa::ToSchema;

/// What a user says of a new key.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyInput)]
pub struct ApiKeyDocument {
    /// What its holder calls it.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// What it allows.
    #[schema(value_type = Role)]
    pub role: String,
}

/// How a new key becomes the response that is kept; it shows the key this once.
pub type RenderKey = Box<dyn Fn(&ApiKey, &KeyText) -> store::idempotency::StoredResponse + Send>;

/// A key that nobody can guess.
#[must_use]
pub fn new_key_text(world: &dyn World) -> KeyText {
    let random = URL_SAFE_NO_PAD.encode(world.random::<32>());
    let Ok(text) = KeyText::parse(&format!("{PREFIX}{random}")) else {
        unreachable!("32 bytes are 43 characters of base64url");
    };
    text
}

/// Makes a key and gives its text, which is not kept.
pub async fn create(
    app: &App,
    business_id: BusinessId,
    once: Option<(Once, RenderKey)>,
    document: ApiKeyDocument,
    maker: KeyMaker,
) -> StoreResult<(Answer<ApiKey>, KeyText)> {
    let name = text::line(&document.name, NAME_CHARS_MAX).map_err(|refused| refused.within("name"))?;
    let role =
        document::word(&document.role, |word| word.parse::<Role>().ok(), &["viewer", "member", "admin"])
            .map_err(|refused: Invalid| refused.within("role"))?;
    let text = new_key_text(&*app.world);
    let shown = text.clone();
    let once = once.map(|(once, render)| {
        let render: Render<ApiKey> = Box::new(move |key| render(key, &shown));
        (once, render)
    });
    let answer = app.store.create_api_key(business_id, once, name, role, text.clone(), maker).await?;
    Ok((answer, text))
}
