//! People over a real store in a throw-away folder, with a clock that is set.

use super::*;
use crate::app::outbound::{FetchFailed, FetchedRecording, Outbound, TestRequest, TestSent};
use crate::app::password::Passwords;
use crate::app::proxy_watch::ProxyWatch;
use crate::app::sign_in_gate::SignInGate;
use crate::app::test_gate::TestGate;
use crate::app::totp::Enrolment;
use crate::app::typed_forms::TypedForms;
use crate::app::user::{self, NewAccount, SetUp};
use crate::app::{export, health};
use async_trait::async_trait;
use axum::http::HeaderValue;
use domain::World;
use domain::api_key::Role;
use domain::phone_number::Country;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use store::invitation::Accept;
use store::queue::{Change, CommitListener, Committed};
use store::seal::Keyring;
use store::sign_in_link::SecondFactor;
use store::tx::Rules;
use store::{Store, StoreConfig};
use tokio::sync::{broadcast, watch};

mod second_factor;

const PASSWORD: &str = "correct horse";

/// A clock that is set, and chance that repeats itself from run to run.
struct TestWorld {
    now_ms: AtomicI64,
    drawn: AtomicU64,
}

impl World for TestWorld {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms.load(Ordering::Relaxed))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let drawn = self.drawn.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mixed = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            [*byte, ..] = (mixed ^ (mixed >> 27)).to_be_bytes();
        }
    }
}

struct NobodyListens;

impl CommitListener for NobodyListens {
    fn committed(&self, _: Vec<Committed>) {}
    fn changed(&self, _: Vec<Change>) {}
    fn unknown(&self) {}
}

struct NoNetwork;

#[async_trait]
impl Outbound for NoNetwork {
    async fn send_test(&self, _: TestRequest) -> TestSent {
        panic!("nothing is sent here")
    }

    async fn fetch_recording(
        &self,
        _: &Secret,
        _: Option<HeaderValue>,
    ) -> Result<FetchedRecording, FetchFailed> {
        panic!("nothing is fetched here")
    }
}

/// The operations, with the business `Acme` and its administrator Ann.
struct House {
    app: App,
    world: Arc<TestWorld>,
    ann: Started,
    _shutdown: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

impl House {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world =
            Arc::new(TestWorld { now_ms: AtomicI64::new(1_774_880_000_000), drawn: AtomicU64::new(7) });
        let config = StoreConfig {
            world: Arc::clone(&world) as Arc<dyn World>,
            keyring: Keyring::new(&Secret::new("a secret key of the tests, long enough"), &[]),
            rules: Rules { public_url: String::new(), ai_fallback: Duration::from_mins(5) },
            listener: Arc::new(NobodyListens),
        };
        let store = Arc::new(Store::open_sqlite(folder.path(), config).await.unwrap());
        store.create_business("Acme".to_owned(), Country::US).await.unwrap();
        let (shutdown, is_ending) = watch::channel(false);
        let app = App {
            store,
            world: Arc::clone(&world) as Arc<dyn World>,
            public_url: "https://calls.example.com".to_owned(),
            own_origin: None,
            address_check: Arc::new(|_| Ok(())),
            outbound: Arc::new(NoNetwork),
            tests: TestGate::default(),
            typed: TypedForms::default(),
            streams: App::streams(),
            exports: export::places(),
            forms: App::forms(),
            sign_ins: SignInGate::default(),
            seen: health::Seen::default(),
            proxy: ProxyWatch::default(),
            passwords: Passwords::default(),
            observer: None,
            tracer: None,
            changes: broadcast::channel(1).0,
            sending_paused: watch::Sender::new(false),
            shutdown: is_ending,
        };
        let link = user::new_setup_link(&app.store, &*world, &app.public_url).await.unwrap();
        let ann = user::set_up(&app, token_of(&link, "setup"), set_up(), &client(1)).await.unwrap();
        Self { app, world, ann, _shutdown: shutdown, _folder: folder }
    }

    fn advance(&self, by: Duration) {
        self.world.now_ms.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// Goes through both steps, where there is a code for the second.
    async fn sign_in(&self, email: &str, password: &str, code: Option<&str>) -> Result<Started, SignInError> {
        match (sign_in(&self.app, email, &Secret::new(password), &client(1)).await?, code) {
            (Entered::Started(started), _) => Ok(started),
            (Entered::NeedsCode(_), None) => Err(SignInError::NeedsCode),
            (Entered::NeedsCode(sealed), Some(code)) => self.give_code(&sealed, code, &client(1)).await,
        }
    }

    /// The second step alone.
    async fn give_code(&self, sealed: &Secret, code: &str, client: &Client) -> Result<Started, SignInError> {
        let proof = gave_password(&self.app, sealed, client).await?;
        sign_in_with_code(&self.app, &proof, code, client).await
    }

    /// What goes along with the code, of whom a code is asked for.
    async fn give_password(&self, email: &str, password: &str) -> Secret {
        let entered = sign_in(&self.app, email, &Secret::new(password), &client(1)).await;
        let Ok(Entered::NeedsCode(sealed)) = entered else { panic!("{entered:?}") };
        sealed
    }

    /// Sets a second factor up for Ann; answers its secret and the recovery codes.
    async fn secure_ann(&self) -> (Secret, Vec<RecoveryCode>) {
        let ann = self.signed_in(&self.ann).await.unwrap();
        let Enrolment { secret, .. } = user::enrol_totp(&self.app, &ann.user);
        let (code, password) = (self.code(&secret), Secret::new(PASSWORD));
        let codes = user::confirm_totp(&self.app, &ann, &password, &secret, &code, &client(1)).await.unwrap();
        (secret, codes)
    }

    /// What the app shows now.
    fn code(&self, secret: &Secret) -> String {
        totp::code(secret, self.world.now()).unwrap()
    }

    async fn signed_in(&self, started: &Started) -> Option<SignedIn> {
        signed_in(&self.app, started.token.reveal()).await.unwrap()
    }
}

fn set_up() -> SetUp {
    SetUp {
        email: "Ann@example.com".to_owned(),
        name: " Ann Miller ".to_owned(),
        password: Secret::new(PASSWORD),
        business: None,
    }
}

fn given(password: &str, code: &str) -> Given {
    Given { password: Secret::new(password), code: code.to_owned() }
}

fn client(address: u8) -> Client {
    Client { address: IpAddr::from([192, 0, 2, address]), user_agent: "Mozilla/5.0\r\n(X11)".to_owned() }
}

/// The token of a link, which leads where it should.
#[track_caller]
fn token_of<'a>(link: &'a Secret, word: &str) -> &'a str {
    let token = link.reveal().strip_prefix(&format!("https://calls.example.com/{word}/")).unwrap();
    assert_eq!(token.len(), 43);
    token
}

#[tokio::test]
async fn the_first_user_is_set_up_once_and_signs_in_with_the_password() {
    let house = House::start().await;
    let ann = house.signed_in(&house.ann).await.unwrap();
    assert_eq!((ann.user.email.as_str(), ann.user.name.as_str()), ("ann@example.com", "Ann Miller"));
    assert_eq!(
        (ann.session.address.as_str(), ann.session.user_agent.as_str()),
        ("192.0.2.1", "Mozilla/5.0(X11)")
    );
    assert_eq!(ann.memberships[0].role, Role::Admin);
    let again = user::new_setup_link(&house.app.store, &*house.world, "").await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    let refused = user::set_up(&house.app, &"x".repeat(43), set_up(), &client(1)).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    let started = house.sign_in(" ANN@example.com", PASSWORD, Some(" ")).await.unwrap();
    assert_ne!(started.token, house.ann.token);
    assert_eq!(house.signed_in(&started).await.unwrap().user, ann.user);
    assert!(signed_in(&house.app, "no token").await.unwrap().is_none());
}

#[tokio::test]
async fn who_has_no_account_is_told_the_same_as_who_has_the_wrong_password() {
    let house = House::start().await;
    let mut words = Vec::new();
    for (email, password) in
        [("ann@example.com", "incorrect horse"), ("bob@example.com", PASSWORD), ("no address", PASSWORD)]
    {
        let refused = house.sign_in(email, password, None).await.unwrap_err();
        assert!(matches!(refused, SignInError::Wrong), "{refused:?}");
        words.push(refused.to_string());
    }
    words.dedup();
    assert_eq!(words.len(), 1);
}

#[tokio::test]
async fn who_guesses_waits_and_who_knows_begins_anew() {
    let house = House::start().await;
    for _ in 0..5 {
        let refused = house.sign_in("ann@example.com", "a wrong guess", None).await.unwrap_err();
        assert!(matches!(refused, SignInError::Wrong), "{refused:?}");
    }
    let refused = house.sign_in("ann@example.com", PASSWORD, None).await.unwrap_err();
    assert!(
        matches!(refused, SignInError::SlowDown { retry_after } if retry_after == Duration::from_secs(2))
    );
    assert_eq!(refused.to_string(), "there were too many failed tries: come again in 2 seconds");
    house.advance(Duration::from_secs(2));
    house.sign_in("ann@example.com", PASSWORD, None).await.unwrap();
    for _ in 0..5 {
        let refused = house.sign_in("ann@example.com", "a wrong guess", None).await.unwrap_err();
        assert!(matches!(refused, SignInError::Wrong), "{refused:?}");
    }
}

#[tokio::test]
async fn another_password_ends_all_other_sessions_and_takes_the_current_one() {
    let house = House::start().await;
    let elsewhere = house.sign_in("ann@example.com", PASSWORD, None).await.unwrap();
    let ann = house.signed_in(&house.ann).await.unwrap();
    let change = async |current, new| {
        user::change_password(&house.app, &ann, &Secret::new(current), &Secret::new(new), &client(1)).await
    };
    let refused = change("a wrong guess", "battery staple").await;
    assert!(matches!(refused, Err(SignInError::Wrong)), "{refused:?}");
    let refused = change(PASSWORD, "short").await;
    assert!(matches!(refused, Err(SignInError::Store(StoreError::Invalid(_)))), "{refused:?}");
    assert!(house.signed_in(&elsewhere).await.is_some());
    change(PASSWORD, "battery staple").await.unwrap();
    assert!(house.signed_in(&elsewhere).await.is_none());
    assert!(house.signed_in(&house.ann).await.is_some());
    assert!(matches!(house.sign_in("ann@example.com", PASSWORD, None).await, Err(SignInError::Wrong)));
    house.sign_in("ann@example.com", "battery staple", None).await.unwrap();
}

#[tokio::test]
async fn a_reset_link_sets_another_password_once() {
    let house = House::start().await;
    let link = user::new_reset_link(
        &house.app.store,
        &*house.world,
        &house.app.public_url,
        "ann@example.com".parse().unwrap(),
        SecondFactor::Kept,
    );
    let link = link.await.unwrap();
    let token = token_of(&link, "reset");
    let refused = user::reset_password(&house.app, token, &Secret::new("Ann@example.com")).await;
    assert!(matches!(refused, Err(StoreError::Invalid(refused)) if refused.field == "password"));
    user::reset_password(&house.app, token, &Secret::new("battery staple")).await.unwrap();
    assert!(house.signed_in(&house.ann).await.is_none(), "who stole a session loses it");
    house.sign_in("ann@example.com", "battery staple", None).await.unwrap();
    let again = user::reset_password(&house.app, token, &Secret::new("third password")).await;
    assert!(matches!(again, Err(StoreError::NotFound(_))), "{again:?}");
}

#[tokio::test]
async fn an_invited_person_comes_in_with_an_account_or_makes_one() {
    let house = House::start().await;
    let (app, ann) = (&house.app, house.signed_in(&house.ann).await.unwrap());
    let acme = ann.memberships[0].business_id;
    let refused = user::invite(app, acme, ann.user.id, "nobody", Role::Viewer).await;
    assert!(matches!(refused, Err(StoreError::Invalid(refused)) if refused.field == "email"));
    let invited = user::invite(app, acme, ann.user.id, "Bob@example.com", Role::Viewer).await.unwrap();
    let token = token_of(&invited.link, "invitation");
    let account = |password: &str| NewAccount { name: "Bob".to_owned(), password: Secret::new(password) };
    let refused = user::accept_as_new(app, token, account("bob@example.com"), &client(2)).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    let started = user::accept_as_new(app, token, account(PASSWORD), &client(2)).await.unwrap();
    let bob = house.signed_in(&started).await.unwrap();
    assert_eq!((bob.memberships.len(), bob.memberships[0].role), (1, Role::Viewer));
    let again = user::accept_as_new(app, token, account(PASSWORD), &client(2)).await;
    assert!(matches!(again, Err(StoreError::NotFound(_))), "{again:?}");

    let zed = app.store.create_business("Zed".to_owned(), Country::US).await.unwrap().id;
    let refused = user::invite(app, zed, ann.user.id, "bob@example.com", Role::Admin).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "not her business: {refused:?}");
    let email = "bob@example.com".parse().unwrap();
    let invited =
        user::invite_as_operator(&app.store, &*house.world, &app.public_url, zed, email, Role::Admin);
    let invited = invited.await.unwrap();
    let token = token_of(&invited.link, "invitation");
    let again = user::accept_as_new(app, token, account("short"), &client(2)).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "before the password is looked at: {again:?}");
    let token = Secret::new(token);
    app.store.accept_invitation(token, Accept::Existing(bob.user.id)).await.unwrap();
    let roles = house.signed_in(&started).await.unwrap().memberships.into_iter().map(|of| of.role);
    assert!(roles.eq([Role::Viewer, Role::Admin]), "of Acme and of Zed");
}

#[tokio::test]
async fn a_session_that_is_used_is_seen_and_one_that_is_not_ends() {
    let house = House::start().await;
    let began = house.world.now();
    house.advance(Duration::from_secs(299));
    house.signed_in(&house.ann).await.unwrap();
    assert_eq!(house.signed_in(&house.ann).await.unwrap().session.last_seen_at, began);
    house.advance(Duration::from_secs(1));
    house.signed_in(&house.ann).await.unwrap();
    let seen = house.signed_in(&house.ann).await.unwrap().session.last_seen_at;
    assert_eq!(seen, began.after(Duration::from_mins(5)));
    house.advance(Duration::from_hours(14 * 24));
    assert!(house.signed_in(&house.ann).await.is_none());
}
