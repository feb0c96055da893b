//! The operations: what API, dashboard and command line can do. Every rule that is more than one store call lives here.
//!
//! [`document`] reads what a user sends and says which field is wrong; each noun's file turns its document into the domain's
//! words; [`outbound`] is the door to the network, which the program opens.

pub mod analysis;
pub mod api_key;
pub mod business;
pub mod call;
pub mod call_flow;
pub mod changes;
pub mod document;
pub mod erasure;
pub mod export;
pub mod filter;
pub mod health;
pub mod number;
pub mod outbound;
pub mod parameter;
pub mod password;
pub mod places;
pub mod proxy_watch;
pub mod recording;
pub mod redelivery;
pub mod retention;
pub mod sign_in;
pub mod sign_in_gate;
pub mod source;
pub mod test_gate;
pub mod test_webhook;
pub mod totp;
pub mod typed_forms;
pub mod user;

use crate::telemetry::trace::Tracer;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use delivery::dispatcher::Observer;
use domain::destination::DestinationUrl;
use domain::id::{BusinessId, UserId};
use domain::{Invalid, Timestamp, World};
use outbound::Outbound;
use password::Passwords;
use places::Places;
use proxy_watch::ProxyWatch;
use sign_in_gate::SignInGate;
use std::net::IpAddr;
use std::sync::Arc;
use store::Store;
use store::queue::Change;
use test_gate::TestGate;
use tokio::sync::{broadcast, watch};
use typed_forms::TypedForms;
use url::Origin;

/// Streams of one person at a time: a browser keeps six connections, and a person may have two browsers.
const STREAMS_OF_USER_MAX: usize = 12;
/// Streams of all people at a time: a quarter of the connections that a server takes.
const STREAMS_MAX: usize = 512;

/// Forms on their way from one network at a time: people behind one router are some, and a form takes a moment.
const FORMS_OF_NETWORK_MAX: usize = 32;
/// Forms on their way in all: 64 MiB where each is as long as a form may be.
const FORMS_MAX: usize = 256;

/// What every operation works with.
pub struct App {
    /// What is kept.
    pub store: Arc<Store>,
    /// Clock and chance.
    pub world: Arc<dyn World>,
    /// The base of own addresses, without a slash at the end.
    pub public_url: String,
    /// The origin of the pages, where the operator has named it; else it is that of the address by which a request came.
    pub own_origin: Option<Origin>,
    /// Refuses addresses to which nothing may be sent, as far as their text can tell.
    pub address_check: AddressCheck,
    /// The network.
    pub outbound: Arc<dyn Outbound>,
    /// Lets tests of webhooks in.
    pub tests: TestGate,
    /// What was tested and is not saved.
    pub typed: TypedForms,
    /// Places of streams without an end: each holds a connection, and those are few.
    pub streams: Places<UserId>,
    /// Places of exports: each holds a page of calls.
    pub exports: Places<BusinessId>,
    /// Places of forms on their way from a network: each holds what has come of it, whoever sends it.
    pub forms: Places<IpAddr>,
    /// Slows down who guesses passwords.
    pub sign_ins: SignInGate,
    /// What was seen of the businesses' work.
    pub seen: health::Seen,
    /// Looks whether people's own addresses come through a proxy.
    pub proxy: ProxyWatch,
    /// Hashes passwords, a few at a time.
    pub passwords: Passwords,
    /// Looks at what is sent; `None` where nothing is.
    pub observer: Option<Observer>,
    /// Follows calls; `None` where no traces are taken.
    pub tracer: Option<Arc<Tracer>>,
    /// Hints of changed deliveries.
    pub changes: broadcast::Sender<Change>,
    /// Whether sending waits for the operator's word; the dispatcher follows it.
    pub sending_paused: watch::Sender<bool>,
    /// Becomes true when the program ends: what streams without an end stops then.
    pub shutdown: watch::Receiver<bool>,
}

/// Refuses an address that is not publicly routable and that the operator did not allow.
pub type AddressCheck = Arc<dyn Fn(&DestinationUrl) -> Result<(), Invalid> + Send + Sync>;

impl App {
    /// The places of forms on their way.
    #[must_use]
    pub fn forms() -> Places<IpAddr> {
        Places::new(FORMS_OF_NETWORK_MAX, FORMS_MAX)
    }

    /// The places of streams that people's pages keep open.
    #[must_use]
    pub fn streams() -> Places<UserId> {
        Places::new(STREAMS_OF_USER_MAX, STREAMS_MAX)
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// 43 characters of base64url that nobody can guess.
    #[must_use]
    pub fn random_text(&self) -> String {
        random_text(&*self.world)
    }
}

/// The same for who has no more than a world.
fn random_text(world: &dyn World) -> String {
    URL_SAFE_NO_PAD.encode(world.random::<32>())
}

/// Reads an address that requests will go to.
fn checked_url(text: &str, check: &AddressCheck) -> Result<DestinationUrl, Invalid> {
    let url = DestinationUrl::parse(text)?;
    check(&url)?;
    Ok(url)
}

/// A text that counts as not given where it is blank: forms send empty fields.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}
