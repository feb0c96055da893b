//! Who looks at a page, in which business, and what stands around every page: the way to the others, and the truth about the work.

use super::error::PageError;
use super::moment::Clock;
use super::{assets, cookie, short, words};
use crate::app::App;
use crate::app::health::{self, Health};
use crate::app::sign_in;
use axum::extract::{FromRequestParts, OptionalFromRequestParts, RawPathParams};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use domain::Timestamp;
use domain::api_key::Role;
use domain::id::BusinessId;
use domain::user::Membership;
use std::borrow::Cow;
use std::sync::Arc;
use store::StoreError;
use store::session::SignedIn;

/// Who is signed in, whatever the business.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who it is.
    pub signed_in: SignedIn,
    /// How times are shown.
    pub clock: Clock,
}

/// Who looks, and in which business: the one that the address names.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Who it is.
    pub person: Person,
    /// What the person is there.
    pub membership: Membership,
}

impl FromRequestParts<Arc<App>> for Person {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, PageError> {
        let Some(token) = cookie::session(&app.public_url, &parts.headers) else {
            return Err(PageError::sign_in(parts));
        };
        let signed_in = sign_in::signed_in(app, &token).await?.ok_or_else(|| PageError::sign_in(parts))?;
        Ok(Self { signed_in, clock: Clock::of(&parts.headers, app.now()) })
    }
}

impl OptionalFromRequestParts<Arc<App>> for Person {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Option<Self>, PageError> {
        match <Self as FromRequestParts<_>>::from_request_parts(parts, app).await {
            Ok(person) => Ok(Some(person)),
            Err(PageError::SignIn { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl FromRequestParts<Arc<App>> for Seat {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, PageError> {
        let person = <Person as FromRequestParts<_>>::from_request_parts(parts, app).await?;
        let path = RawPathParams::from_request_parts(parts, app).await.map_err(|_| PageError::NotFound)?;
        let named = path.iter().find(|(name, _)| *name == "business").and_then(|(_, id)| id.parse().ok());
        let id: BusinessId = named.ok_or(PageError::NotFound)?;
        let membership = person.signed_in.memberships.iter().find(|membership| membership.business_id == id);
        let membership = membership.cloned().ok_or(PageError::NotFound)?;
        Ok(Self { person, membership })
    }
}

impl Seat {
    /// The business.
    pub const fn business_id(&self) -> BusinessId {
        self.membership.business_id
    }

    /// Whether the person may change what members change.
    pub fn is_member(&self) -> bool {
        self.membership.role >= Role::Member
    }

    /// Whether the person may handle people, keys and secrets.
    pub fn is_admin(&self) -> bool {
        self.membership.role >= Role::Admin
    }

    /// Refuses who may only look.
    pub fn check_member(&self) -> Result<(), PageError> {
        if self.is_member() {
            Ok(())
        } else {
            Err(PageError::Forbidden("This needs the role member: ask an admin of the business."))
        }
    }

    /// Refuses who may not handle people, keys and secrets.
    pub fn check_admin(&self) -> Result<(), PageError> {
        if self.is_admin() {
            Ok(())
        } else {
            Err(PageError::Forbidden("This needs the role admin: ask an admin of the business."))
        }
    }

    /// The address of a page of this business.
    pub fn path(&self, page: &str) -> String {
        format!("/b/{}{page}", self.business_id())
    }
}

/// The pages that the side names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Is anything wrong right now?
    Overview,
    /// Which flows send where?
    CallFlows,
    /// Who called?
    Calls,
    /// What was sent?
    Deliveries,
    /// What people call.
    Numbers,
    /// Where calls come from.
    Sources,
    /// Who may do what; what is kept.
    Settings,
}

impl Room {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Overview,
        Self::CallFlows,
        Self::Calls,
        Self::Deliveries,
        Self::Numbers,
        Self::Sources,
        Self::Settings,
    ];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::CallFlows => "Call Flows",
            Self::Calls => "Calls",
            Self::Deliveries => "Deliveries",
            Self::Numbers => "Numbers",
            Self::Sources => "Sources",
            Self::Settings => "Settings",
        }
    }

    /// Its place behind the business's address.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::CallFlows => "/call-flows",
            Self::Calls => "/calls",
            Self::Deliveries => "/deliveries",
            Self::Numbers => "/numbers",
            Self::Sources => "/sources",
            Self::Settings => "/settings",
        }
    }
}

/// What stands around a page of a business.
pub struct Frame {
    /// What the page is about.
    pub title: String,
    /// The page's room; the account is in none.
    pub room: Option<Room>,
    /// Who looks.
    pub seat: Seat,
    /// How the work stands.
    pub health: Health,
    /// What was just done, or why nothing was.
    pub said: Option<Said>,
}

/// What came of a form, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The words.
    pub words: String,
    /// Whether anything was done.
    pub is_done: bool,
}

impl Said {
    /// That was done.
    pub fn done(words: impl Into<String>) -> Self {
        Self { words: words.into(), is_done: true }
    }

    /// Nothing was done; the words say why.
    pub fn nothing(words: impl Into<String>) -> Self {
        Self { words: words.into(), is_done: false }
    }
}

impl Frame {
    /// Looks how the work stands.
    pub async fn of(
        app: &App,
        seat: Seat,
        room: impl Into<Option<Room>>,
        title: impl Into<String>,
    ) -> Result<Self, StoreError> {
        let health = health::of_business(app, seat.business_id()).await?;
        Ok(Self { title: title.into(), room: room.into(), seat, health, said: None })
    }

    /// Says what was just done: the word of a redirection, in words.
    #[must_use]
    pub fn saying(mut self, done: Option<&str>) -> Self {
        self.said = done.and_then(super::said);
        self
    }

    /// The address of a page of this business.
    pub fn path(&self, page: &str) -> String {
        self.seat.path(page)
    }

    /// Where what the dot says is mended: the one flow that fails, or the overview.
    pub fn trouble(&self) -> String {
        self.health
            .only_failing()
            .map_or_else(|| self.path(""), |flow| self.path(&format!("/call-flows/{flow}")))
    }

    /// All rooms, each with whether the page is in it.
    pub fn rooms(&self) -> [(Room, bool); 7] {
        Room::ALL.map(|room| (room, self.room == Some(room)))
    }

    /// The person's clock.
    pub const fn clock(&self) -> &Clock {
        &self.seat.person.clock
    }

    /// A time as the person's clock shows it.
    pub fn moment(&self, at: &Timestamp) -> String {
        self.seat.person.clock.moment(*at)
    }

    /// The same without seconds.
    pub fn minute(&self, at: &Timestamp) -> String {
        self.seat.person.clock.minute(*at)
    }

    /// Its day and month alone.
    pub fn date(&self, at: &Timestamp) -> String {
        self.seat.person.clock.date(*at)
    }

    /// Its time of day alone.
    pub fn time(&self, at: &Timestamp) -> String {
        self.seat.person.clock.time(*at)
    }

    /// How long until then, as a running clock.
    pub fn until(&self, at: &Timestamp) -> String {
        self.seat.person.clock.until(*at)
    }

    /// A text that may be long, as a list has it.
    pub fn short<'a>(&self, text: &'a str) -> Cow<'a, str> {
        short::line(text)
    }

    /// The product's own words, with what is code in them drawn as that.
    pub fn words(&self, words: &str) -> String {
        words::drawn(words)
    }

    /// A count, which the script writes as the reader does.
    pub fn count(&self, count: &u64) -> String {
        words::count(*count)
    }

    /// Whether the person may change what members change.
    pub fn is_member(&self) -> bool {
        self.seat.is_member()
    }

    /// Whether the person may handle people, keys and secrets.
    pub fn is_admin(&self) -> bool {
        self.seat.is_admin()
    }

    /// Where the style sheet is.
    pub fn style_sheet(&self) -> &'static str {
        assets::style_sheet()
    }

    /// Where the script is.
    pub fn script(&self) -> &'static str {
        assets::script()
    }

    /// Where the mark is.
    pub fn mark(&self) -> &'static str {
        assets::mark()
    }
}

/// The status of a page that shows a form again where it was refused.
pub const fn answered(is_refused: bool) -> StatusCode {
    if is_refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
}

/// A page on its way out.
pub struct Page<T>(pub T);

impl<T: askama::Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(page) => Html(page).into_response(),
            Err(error) => PageError::Undrawn(format!("a page cannot be drawn: {error}")).into_response(),
        }
    }
}
