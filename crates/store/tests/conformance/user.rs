//! People: set up once, invited, let in and out of businesses.

use crate::harness::{Harness, bytes};
use domain::api_key::Role;
use domain::id::{BusinessId, InvitationId, UserId};
use domain::limits::{INVITATION_LIFE, INVITATIONS_MAX, SETUP_LINK_LIFE};
use domain::phone_number::Country;
use domain::recovery_code::RecoveryCode;
use domain::secret::Secret;
use domain::user::{EmailAddress, Invitation, User};
use std::time::Duration;
use store::invitation::{Accept, NewInvitation};
use store::member::MadeKeys;
use store::session::NewSession;
use store::sign_in_link::SecondFactor;
use store::user::{LastAdmin, NewUser, PasswordChange, SecondProof, Totp};
use store::{StoreError, StoreResult};

pub fn email(name: &str) -> EmailAddress {
    format!("{name}@example.com").parse().unwrap()
}

pub fn secret(text: &str) -> Secret {
    Secret::new(text)
}

/// A second factor that was tried with step 7, and a recovery code of each of these digits.
pub fn totp(digits: &str) -> Totp {
    let recovery_codes = digits.chars().map(recovery_code).collect();
    Totp { secret: secret("TOTPSECRET"), used_step: 7, recovery_codes }
}

/// The recovery code of one digit over and over.
pub fn recovery_code(digit: char) -> RecoveryCode {
    RecoveryCode::read(&digit.to_string().repeat(16)).unwrap()
}

fn person(name: &str) -> NewUser {
    NewUser { email: email(name), name: name.to_owned(), password_hash: secret("hash 1") }
}

/// Sets up Ann, who is then an administrator of every business there is.
pub async fn ann(h: &Harness) -> User {
    h.store.new_setup_link(secret("setup")).await.unwrap();
    h.store.set_up(secret("setup"), person("ann"), None).await.unwrap()
}

async fn invite(
    h: &Harness,
    business_id: BusinessId,
    name: &str,
    role: Role,
    invited_by: Option<UserId>,
) -> StoreResult<Invitation> {
    let token = secret(&format!("invitation of {name}"));
    let invitation = NewInvitation { business_id, email: email(name), role, token, invited_by };
    h.store.invite(invitation).await
}

async fn accept_as_new(h: &Harness, name: &str) -> StoreResult<(User, BusinessId)> {
    let accept = Accept::New { name: name.to_owned(), password_hash: secret("hash 1") };
    h.store.accept_invitation(secret(&format!("invitation of {name}")), accept).await
}

/// Has somebody come into a business.
pub async fn member(h: &Harness, business_id: BusinessId, name: &str, role: Role) -> User {
    invite(h, business_id, name, role, None).await.unwrap();
    accept_as_new(h, name).await.unwrap().0
}

async fn roles(h: &Harness, business_id: BusinessId) -> Vec<(String, Role)> {
    let members = h.store.list_members(business_id).await.unwrap();
    members.into_iter().map(|member| (member.user.name, member.role)).collect()
}

#[track_caller]
fn conflicts<T>(result: StoreResult<T>) {
    let refused = result.err();
    assert!(matches!(refused, Some(StoreError::Conflict(_))), "{refused:?}");
}

#[track_caller]
fn is_not_there<T>(result: StoreResult<T>) {
    let refused = result.err();
    assert!(matches!(refused, Some(StoreError::NotFound(_))), "{refused:?}");
}

#[tokio::test]
async fn the_first_user_is_an_administrator_of_every_business_and_the_only_one_to_be_set_up() {
    let h = Harness::start().await;
    let zed = h.store.create_business("Zed".into(), "DE".parse().unwrap()).await.unwrap().id;
    assert!(!h.store.has_users().await.unwrap());
    is_not_there(h.store.set_up(secret("a guess"), person("ann"), None).await);
    h.store.new_setup_link(secret("older")).await.unwrap();
    h.store.new_setup_link(secret("newer")).await.unwrap();
    assert!(!h.store.is_setup_link(secret("older")).await.unwrap());
    assert!(h.store.is_setup_link(secret("newer")).await.unwrap());
    is_not_there(h.store.set_up(secret("older"), person("ann"), None).await);
    let ann =
        h.store.set_up(secret("newer"), person("ann"), Some(("New".into(), Country::US))).await.unwrap();
    assert!(h.store.has_users().await.unwrap());
    let users = h.store.list_users().await.unwrap();
    assert_eq!((users.len(), &users[0].0), (1, &ann));
    let memberships: Vec<_> =
        users[0].1.iter().map(|of| (of.business_id, of.business_name.as_str(), of.role)).collect();
    assert_eq!(memberships, [(h.business, "Acme", Role::Admin), (zed, "Zed", Role::Admin)], "and no new one");
    assert_eq!(users[0].1[1].default_country.to_string(), "DE");
    assert!(!h.store.is_setup_link(secret("newer")).await.unwrap());
    conflicts(h.store.set_up(secret("newer"), person("bob"), None).await);
    conflicts(h.store.new_setup_link(secret("third")).await);
}

#[tokio::test]
async fn of_two_who_are_set_up_by_one_link_one_is_made() {
    let h = Harness::start().await;
    h.store.new_setup_link(secret("setup")).await.unwrap();
    let (one, other) = tokio::join!(
        h.store.set_up(secret("setup"), person("ann"), None),
        h.store.set_up(secret("setup"), person("bob"), None),
    );
    let (made, refused) = if one.is_ok() { (one, other) } else { (other, one) };
    conflicts(refused);
    assert_eq!(roles(&h, h.business).await, [(made.unwrap().name, Role::Admin)]);
}

#[tokio::test]
async fn a_setup_link_ends_with_its_time_and_with_the_first_user_who_comes_in_another_way() {
    let h = Harness::start().await;
    h.store.new_setup_link(secret("setup")).await.unwrap();
    h.world.advance(SETUP_LINK_LIFE);
    assert!(!h.store.is_setup_link(secret("setup")).await.unwrap());
    is_not_there(h.store.set_up(secret("setup"), person("ann"), None).await);
    h.store.new_setup_link(secret("setup")).await.unwrap();
    member(&h, h.business, "bob", Role::Viewer).await;
    assert!(!h.store.is_setup_link(secret("setup")).await.unwrap());
    conflicts(h.store.set_up(secret("setup"), person("ann"), None).await);
}

#[tokio::test]
async fn an_invitation_is_accepted_once_and_gives_what_it_says() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let made = invite(&h, h.business, "bob", Role::Member, Some(ann.id)).await.unwrap();
    assert_eq!((made.invited_by, made.expires_at), (Some(ann.id), made.created_at.after(INVITATION_LIFE)));
    assert_eq!(h.store.list_invitations(h.business).await.unwrap(), std::slice::from_ref(&made));
    let open = h.store.invitation(secret("invitation of bob")).await.unwrap().unwrap();
    assert_eq!((open.invitation, open.business_id, open.business_name.as_str()), (made, h.business, "Acme"));
    assert_eq!(open.user_id, None);
    assert_eq!(h.store.invitation(secret("a guess")).await.unwrap(), None);
    let (one, other) = tokio::join!(accept_as_new(&h, "bob"), accept_as_new(&h, "bob"));
    let (came, refused) = if one.is_ok() { (one, other) } else { (other, one) };
    is_not_there(refused);
    assert_eq!(came.unwrap().1, h.business);
    assert_eq!(
        roles(&h, h.business).await,
        [("ann".to_owned(), Role::Admin), ("bob".to_owned(), Role::Member)]
    );
    assert_eq!(h.store.list_invitations(h.business).await.unwrap(), []);
    conflicts(invite(&h, h.business, "bob", Role::Admin, Some(ann.id)).await);
}

#[tokio::test]
async fn an_invitation_for_a_user_is_accepted_by_that_user_alone() {
    let h = Harness::start().await;
    ann(&h).await;
    let zed = h.store.create_business("Zed".into(), Country::US).await.unwrap().id;
    let bob = member(&h, h.business, "bob", Role::Viewer).await;
    let carol = member(&h, h.business, "carol", Role::Viewer).await;
    invite(&h, zed, "bob", Role::Admin, None).await.unwrap();
    let open = h.store.invitation(secret("invitation of bob")).await.unwrap().unwrap();
    assert_eq!(open.user_id, Some(bob.id));
    conflicts(accept_as_new(&h, "bob").await);
    let token = || secret("invitation of bob");
    conflicts(h.store.accept_invitation(token(), Accept::Existing(carol.id)).await);
    let (user, business) = h.store.accept_invitation(token(), Accept::Existing(bob.id)).await.unwrap();
    assert_eq!((user, business), (bob, zed));
    assert_eq!(roles(&h, zed).await, [("bob".to_owned(), Role::Admin)]);
    invite(&h, zed, "dave", Role::Viewer, None).await.unwrap();
    conflicts(h.store.accept_invitation(secret("invitation of dave"), Accept::Existing(carol.id)).await);
}

#[tokio::test]
async fn a_new_invitation_takes_the_older_ones_place_and_both_end() {
    let h = Harness::start().await;
    invite(&h, h.business, "bob", Role::Admin, None).await.unwrap();
    let token = secret("another token");
    let lower = NewInvitation {
        business_id: h.business,
        email: email("bob"),
        role: Role::Viewer,
        token,
        invited_by: None,
    };
    let made = h.store.invite(lower).await.unwrap();
    assert_eq!(h.store.invitation(secret("invitation of bob")).await.unwrap(), None);
    assert_eq!(h.store.list_invitations(h.business).await.unwrap(), std::slice::from_ref(&made));
    h.store.withdraw_invitation(h.business, made.id).await.unwrap();
    is_not_there(h.store.withdraw_invitation(h.business, made.id).await);
    assert_eq!(h.store.invitation(secret("another token")).await.unwrap(), None);
    invite(&h, h.business, "bob", Role::Viewer, None).await.unwrap();
    h.world.advance(INVITATION_LIFE);
    assert_eq!(h.store.list_invitations(h.business).await.unwrap(), []);
    assert_eq!(h.store.invitation(secret("invitation of bob")).await.unwrap(), None);
    is_not_there(accept_as_new(&h, "bob").await);
}

#[tokio::test]
async fn a_business_has_a_bounded_number_of_open_invitations() {
    let h = Harness::start().await;
    for number in 0..INVITATIONS_MAX {
        invite(&h, h.business, &format!("user{number}"), Role::Viewer, None).await.unwrap();
    }
    conflicts(invite(&h, h.business, "one-more", Role::Viewer, None).await);
    invite(&h, h.business, "user7", Role::Member, None).await.expect("in place of the older one");
    h.world.advance(INVITATION_LIFE);
    invite(&h, h.business, "one-more", Role::Viewer, None)
        .await
        .expect("those that are past their time do not count");
}

#[tokio::test]
async fn another_businesss_people_and_invitations_are_neither_seen_nor_changed() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let bob = member(&h, h.business, "bob", Role::Member).await;
    let zed = h.store.create_business("Zed".into(), Country::US).await.unwrap().id;
    let zoe = member(&h, zed, "zoe", Role::Admin).await;
    let open = invite(&h, h.business, "carol", Role::Viewer, None).await.unwrap();
    assert_eq!(roles(&h, zed).await, [("zoe".to_owned(), Role::Admin)]);
    assert_eq!(h.store.list_invitations(zed).await.unwrap(), []);
    is_not_there(h.store.set_member_role(zed, zoe.id, bob.id, Role::Viewer).await);
    is_not_there(h.store.remove_member(zed, zoe.id, bob.id, MadeKeys::GoOn).await);
    for other in [zoe.id, bob.id] {
        conflicts(h.store.set_member_role(h.business, other, bob.id, Role::Admin).await);
        conflicts(h.store.remove_member(h.business, other, bob.id, MadeKeys::GoOn).await);
    }
    is_not_there(h.store.withdraw_invitation(zed, open.id).await);
    conflicts(invite(&h, zed, "dave", Role::Viewer, Some(ann.id)).await);
    conflicts(invite(&h, h.business, "dave", Role::Viewer, Some(zoe.id)).await);
    conflicts(invite(&h, h.business, "dave", Role::Viewer, Some(bob.id)).await);
    let nowhere = BusinessId::from_bytes([7; 16]);
    is_not_there(invite(&h, nowhere, "dave", Role::Viewer, None).await);
    is_not_there(h.store.withdraw_invitation(h.business, InvitationId::from_bytes([7; 16])).await);
    assert_eq!(
        roles(&h, h.business).await,
        [("ann".to_owned(), Role::Admin), ("bob".to_owned(), Role::Member)]
    );
}

#[tokio::test]
async fn a_business_keeps_its_last_administrator() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let bob = member(&h, h.business, "bob", Role::Member).await;
    conflicts(h.store.set_member_role(h.business, ann.id, ann.id, Role::Member).await);
    conflicts(h.store.remove_member(h.business, ann.id, ann.id, MadeKeys::GoOn).await);
    h.store.set_member_role(h.business, ann.id, ann.id, Role::Admin).await.unwrap();
    h.store.set_member_role(h.business, ann.id, bob.id, Role::Admin).await.unwrap();
    let (one, other) = tokio::join!(
        h.store.remove_member(h.business, ann.id, ann.id, MadeKeys::GoOn),
        h.store.set_member_role(h.business, bob.id, bob.id, Role::Viewer),
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let admins = roles(&h, h.business).await.into_iter().filter(|(_, role)| *role == Role::Admin).count();
    assert_eq!(admins, 1);
}

#[tokio::test]
async fn a_person_leaves_a_business_and_the_last_administrator_does_not() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let bob = member(&h, h.business, "bob", Role::Viewer).await;
    let zed = h.store.create_business("Zed".into(), Country::US).await.unwrap().id;
    is_not_there(h.store.leave_business(zed, bob.id).await);
    h.store.leave_business(h.business, bob.id).await.unwrap();
    is_not_there(h.store.leave_business(h.business, bob.id).await);
    conflicts(h.store.leave_business(h.business, ann.id).await);
    member(&h, h.business, "carol", Role::Admin).await;
    h.store.leave_business(h.business, ann.id).await.unwrap();
    assert_eq!(roles(&h, h.business).await, [("carol".to_owned(), Role::Admin)]);
    assert_eq!(h.store.user(ann.id).await.unwrap(), ann, "and has the account still");
}

#[tokio::test]
async fn the_open_invitations_of_who_is_no_administrator_any_more_end_and_no_others() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let zed = h.store.create_business("Zed".into(), Country::US).await.unwrap().id;
    let is_open = async |name: &str| {
        h.store.invitation(secret(&format!("invitation of {name}"))).await.unwrap().is_some()
    };
    for name in ["removed", "lowered", "leaving"] {
        let person = member(&h, h.business, name, Role::Admin).await;
        invite(&h, zed, name, Role::Admin, None).await.unwrap();
        let token = secret(&format!("invitation of {name}"));
        h.store.accept_invitation(token, Accept::Existing(person.id)).await.unwrap();
        let (here, there, anns) = (format!("back-{name}"), format!("other-{name}"), format!("by-ann-{name}"));
        invite(&h, h.business, &here, Role::Admin, Some(person.id)).await.unwrap();
        invite(&h, zed, &there, Role::Admin, Some(person.id)).await.unwrap();
        invite(&h, h.business, &anns, Role::Admin, Some(ann.id)).await.unwrap();
        h.store.set_member_role(h.business, ann.id, person.id, Role::Admin).await.unwrap();
        assert!(is_open(&here).await, "who stays an administrator keeps it");
        match name {
            "removed" => h.store.remove_member(h.business, ann.id, person.id, MadeKeys::GoOn).await.unwrap(),
            "lowered" => {
                h.store.set_member_role(h.business, ann.id, person.id, Role::Member).await.unwrap();
            }
            _ => h.store.leave_business(h.business, person.id).await.unwrap(),
        }
        assert!(!is_open(&here).await, "{name}");
        assert!(is_open(&there).await && is_open(&anns).await, "{name}");
    }
}

#[tokio::test]
async fn an_invitation_counts_only_while_who_made_it_is_an_administrator() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let bob = member(&h, h.business, "bob", Role::Admin).await;
    invite(&h, h.business, "carol", Role::Admin, Some(bob.id)).await.unwrap();
    invite(&h, h.business, "dave", Role::Viewer, Some(ann.id)).await.unwrap();
    invite(&h, h.business, "eve", Role::Viewer, None).await.unwrap();
    // As it was before that took the invitations along.
    for left in ["UPDATE memberships SET role = 'member'", "DELETE FROM memberships"] {
        h.damage(&format!("{left} WHERE user_id = {}", bytes(bob.id.as_bytes())));
        assert_eq!(h.store.invitation(secret("invitation of carol")).await.unwrap(), None, "{left}");
        is_not_there(accept_as_new(&h, "carol").await);
    }
    let open = h.store.list_invitations(h.business).await.unwrap();
    assert_eq!(open.iter().map(|open| &open.email).collect::<Vec<_>>(), [&email("dave"), &email("eve")]);
    accept_as_new(&h, "dave").await.unwrap();
    accept_as_new(&h, "eve").await.unwrap();
}

#[tokio::test]
async fn a_deleted_person_is_gone_with_all_that_was_the_persons_and_nothing_else_is() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    let zed = h.store.create_business("Zed".into(), Country::US).await.unwrap().id;
    let bob = member(&h, h.business, "bob", Role::Admin).await;
    h.store.set_totp(bob.id, Some(totp("12"))).await.unwrap();
    h.store.new_reset_link(email("bob"), secret("reset"), SecondFactor::Kept).await.unwrap();
    let session = NewSession {
        user_id: bob.id,
        password_hash: secret("hash 1"),
        second_proof: Some(SecondProof::Step(8)),
        token: secret("bob's"),
        address: "192.0.2.1".into(),
        user_agent: "Mozilla/5.0".into(),
    };
    h.store.start_session(session.clone()).await.unwrap();
    invite(&h, h.business, "carol", Role::Viewer, Some(bob.id)).await.unwrap();
    invite(&h, h.business, "dave", Role::Viewer, Some(ann.id)).await.unwrap();
    invite(&h, zed, "bob", Role::Admin, None).await.unwrap();
    h.store.delete_user(bob.id, LastAdmin::Stays).await.unwrap();
    assert!(h.store.session(secret("bob's")).await.unwrap().is_none(), "at once");
    is_not_there(h.store.start_session(session).await);
    assert!(h.store.user_by_email(email("bob")).await.unwrap().is_none());
    assert!(h.store.user_to_sign_in(email("bob")).await.unwrap().is_none());
    assert_eq!(h.store.reset_link(secret("reset")).await.unwrap(), None);
    assert_eq!(h.store.count_recovery_codes(bob.id).await.unwrap(), 0);
    for (name, is_open) in [("carol", false), ("bob", false), ("dave", true)] {
        let open = h.store.invitation(secret(&format!("invitation of {name}"))).await.unwrap();
        assert_eq!(open.is_some(), is_open, "{name}");
    }
    assert_eq!(roles(&h, h.business).await, [("ann".to_owned(), Role::Admin)]);
    is_not_there(h.store.delete_user(bob.id, LastAdmin::Goes).await);
    member(&h, h.business, "bob", Role::Viewer).await;
}

#[tokio::test]
async fn the_last_administrator_is_deleted_only_where_that_is_what_is_asked() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    member(&h, h.business, "bob", Role::Member).await;
    let refused = h.store.delete_user(ann.id, LastAdmin::Stays).await;
    let words = "ann@example.com is the last administrator of Acme: make somebody else one first";
    assert!(matches!(&refused, Err(StoreError::Conflict(reason)) if reason == words), "{refused:?}");
    assert_eq!(h.store.user(ann.id).await.unwrap(), ann);
    h.store.delete_user(ann.id, LastAdmin::Goes).await.unwrap();
    assert_eq!(roles(&h, h.business).await, [("bob".to_owned(), Role::Member)]);
}

#[tokio::test]
async fn who_is_invited_again_while_being_an_administrator_stays_one() {
    let h = Harness::start().await;
    h.store.new_setup_link(secret("setup")).await.unwrap();
    invite(&h, h.business, "ann", Role::Viewer, None).await.unwrap();
    let ann = h.store.set_up(secret("setup"), person("ann"), None).await.unwrap();
    h.store.accept_invitation(secret("invitation of ann"), Accept::Existing(ann.id)).await.unwrap();
    assert_eq!(roles(&h, h.business).await, [("ann".to_owned(), Role::Admin)]);
}

#[tokio::test]
async fn what_signing_in_needs_is_found_by_the_address_and_the_second_factor_is_sealed() {
    let h = Harness::start().await;
    let ann = ann(&h).await;
    assert!(h.store.user_to_sign_in(email("nobody")).await.unwrap().is_none());
    let found = h.store.user_to_sign_in(email("ann")).await.unwrap().unwrap();
    assert_eq!((found.user, found.password_hash, found.totp), (ann.clone(), secret("hash 1"), None));
    h.store.set_totp(ann.id, Some(totp(""))).await.unwrap();
    let found = h.store.credentials(ann.id).await.unwrap();
    assert_eq!((found.user.has_totp, found.totp), (true, Some(secret("TOTPSECRET"))));
    let again = h.store.set_totp(ann.id, Some(totp("1"))).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    h.store.set_totp(ann.id, None).await.unwrap();
    assert_eq!(h.store.credentials(ann.id).await.unwrap().totp, None);
    h.store.set_name(ann.id, "Ann Miller".into()).await.unwrap();
    assert_eq!(h.store.user(ann.id).await.unwrap().name, "Ann Miller");
    let nobody = UserId::from_bytes([7; 16]);
    is_not_there(h.store.user(nobody).await);
    is_not_there(h.store.credentials(nobody).await);
    is_not_there(h.store.set_name(nobody, "X".into()).await);
    is_not_there(h.store.set_totp(nobody, None).await);
    let change = PasswordChange { from_hash: secret("hash 1"), to_hash: secret("hash 2"), keep: None };
    is_not_there(h.store.set_password(nobody, change).await);
}

#[tokio::test]
async fn what_is_past_its_time_is_removed_by_upkeep_and_nothing_else() {
    let h = Harness::start().await;
    ann(&h).await;
    invite(&h, h.business, "bob", Role::Viewer, None).await.unwrap();
    h.world.advance(INVITATION_LIFE);
    invite(&h, h.business, "carol", Role::Viewer, None).await.unwrap();
    h.world.advance(Duration::from_millis(1));
    assert!(!h.store.run_upkeep_step().await.unwrap());
    h.world.set_back(INVITATION_LIFE);
    let open = h.store.list_invitations(h.business).await.unwrap();
    assert_eq!(open.iter().map(|open| &open.email).collect::<Vec<_>>(), [&email("carol")]);
}
