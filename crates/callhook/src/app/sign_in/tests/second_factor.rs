//! The second factor: its codes and recovery codes, in the second step of signing in and before what must not be lost.

use super::*;

#[tokio::test]
async fn a_second_factor_is_asked_for_after_the_password_and_each_code_is_taken_once() {
    let house = House::start().await;
    let ann = house.signed_in(&house.ann).await.unwrap();
    let offered = user::enrol_totp(&house.app, &ann.user);
    let code = |house: &House| totp::code(&offered.secret, house.world.now()).unwrap();
    let confirm = async |password: &str, code: &str| {
        let password = Secret::new(password);
        user::confirm_totp(&house.app, &ann, &password, &offered.secret, code, &client(1)).await
    };
    let wrong = confirm(PASSWORD, "12345").await;
    assert!(
        matches!(wrong, Err(SignInError::Store(StoreError::Invalid(refused))) if refused.field == "code")
    );
    let borrowed = confirm("a wrong guess", &code(&house)).await;
    assert!(matches!(borrowed, Err(SignInError::Wrong)), "{borrowed:?}");
    house.sign_in("ann@example.com", PASSWORD, None).await.expect("what is offered is not set");
    confirm(PASSWORD, &code(&house)).await.unwrap();
    let step = Duration::from_secs(30);

    let sign_in = async |password, code: Option<&str>| house.sign_in("ann@example.com", password, code).await;
    assert!(matches!(sign_in("a wrong guess", Some(&code(&house))).await, Err(SignInError::Wrong)));
    for _ in 0..10 {
        assert!(matches!(sign_in(PASSWORD, None).await, Err(SignInError::NeedsCode)), "which is no failure");
    }
    let used = sign_in(PASSWORD, Some(&code(&house))).await;
    assert!(
        matches!(used, Err(SignInError::Store(StoreError::Conflict(_)))),
        "the one that it was set with: {used:?}"
    );
    house.advance(step);
    sign_in(PASSWORD, Some(&code(&house))).await.unwrap();
    let used = sign_in(PASSWORD, Some(&code(&house))).await;
    assert!(matches!(used, Err(SignInError::Store(StoreError::Conflict(_)))), "{used:?}");
    house.advance(step);
    assert!(matches!(sign_in(PASSWORD, Some("000000")).await, Err(SignInError::Wrong)));

    let ann = house.signed_in(&house.ann).await.unwrap();
    assert!(ann.user.has_totp);
    let another = user::enrol_totp(&house.app, &ann.user);
    let code = totp::code(&another.secret, house.world.now()).unwrap();
    let password = Secret::new(PASSWORD);
    let replaced = user::confirm_totp(&house.app, &ann, &password, &another.secret, &code, &client(1)).await;
    assert!(matches!(replaced, Err(SignInError::Store(StoreError::Conflict(_)))), "{replaced:?}");
    house.advance(step);
    user::remove_totp(&house.app, &ann, &given(PASSWORD, &house.code(&offered.secret)), &client(1))
        .await
        .unwrap();
    sign_in(PASSWORD, None).await.unwrap();
}

#[tokio::test]
async fn a_given_password_counts_for_five_minutes_until_it_is_changed_and_where_it_was_given() {
    let house = House::start().await;
    let (secret, _) = house.secure_ann().await;
    let step = Duration::from_secs(30);
    house.advance(step);
    let sealed = house.give_password("ann@example.com", PASSWORD).await;
    let elsewhere = house.give_code(&sealed, &house.code(&secret), &client(2)).await;
    assert!(matches!(elsewhere, Err(SignInError::Expired)), "{elsewhere:?}");
    let made_up = house.give_code(&Secret::new("made up"), &house.code(&secret), &client(1)).await;
    assert!(matches!(made_up, Err(SignInError::Expired)), "{made_up:?}");
    house.give_code(&sealed, &house.code(&secret), &client(1)).await.unwrap();
    let used = house.give_code(&sealed, &house.code(&secret), &client(1)).await;
    assert!(matches!(used, Err(SignInError::Store(StoreError::Conflict(_)))), "{used:?}");
    house.advance(Duration::from_mins(5));
    let late = house.give_code(&sealed, &house.code(&secret), &client(1)).await;
    assert!(matches!(late, Err(SignInError::Expired)), "{late:?}");

    let sealed = house.give_password("ann@example.com", PASSWORD).await;
    let ann = house.signed_in(&house.ann).await.unwrap();
    let (from, to) = (Secret::new(PASSWORD), Secret::new("battery staple"));
    user::change_password(&house.app, &ann, &from, &to, &client(1)).await.unwrap();
    let changed = house.give_code(&sealed, &house.code(&secret), &client(1)).await;
    assert!(matches!(changed, Err(SignInError::Expired)), "{changed:?}");
    let sealed = house.give_password("ann@example.com", "battery staple").await;
    house.give_code(&sealed, &house.code(&secret), &client(1)).await.unwrap();
}

#[tokio::test]
async fn what_takes_the_second_factor_or_all_there_is_asks_for_its_code_and_guesses_wait() {
    let house = House::start().await;
    let (secret, codes) = house.secure_ann().await;
    let (app, ann) = (&house.app, house.signed_in(&house.ann).await.unwrap());
    house.advance(Duration::from_secs(30));
    let missing = user::remove_totp(app, &ann, &given(PASSWORD, " "), &client(1)).await;
    assert!(matches!(missing, Err(SignInError::NeedsCode)), "{missing:?}");
    let code = house.code(&secret);
    for (password, code) in [(PASSWORD, "00000x"), ("a wrong guess", &*code)] {
        let refused = user::remove_totp(app, &ann, &given(password, code), &client(1)).await;
        assert!(matches!(refused, Err(SignInError::Wrong)), "{refused:?}");
        let refused = user::new_recovery_codes(app, &ann, &given(password, code), &client(1)).await;
        assert!(matches!(refused, Err(SignInError::Wrong)), "{refused:?}");
    }
    // The password alone, which who guesses has, does not make the row of failures end.
    let (from, to) = (Secret::new(PASSWORD), Secret::new(PASSWORD));
    user::change_password(app, &ann, &from, &to, &client(1)).await.unwrap();
    let refused = user::delete_own(app, &ann, &given(PASSWORD, "00000x"), &client(1)).await;
    assert!(matches!(refused, Err(SignInError::Wrong)), "{refused:?}");
    let refused = user::remove_totp(app, &ann, &given(PASSWORD, &code), &client(1)).await;
    assert!(matches!(refused, Err(SignInError::SlowDown { .. })), "{refused:?}");
    house.advance(Duration::from_secs(2));

    let newer =
        user::new_recovery_codes(app, &ann, &given(PASSWORD, &codes[0].in_groups()), &client(1)).await;
    let newer = newer.unwrap();
    let used = user::remove_totp(app, &ann, &given(PASSWORD, &codes[1].in_groups()), &client(1)).await;
    assert!(matches!(used, Err(SignInError::Store(StoreError::Conflict(_)))), "{used:?}");
    user::remove_totp(app, &ann, &given(PASSWORD, &newer[0].in_groups()), &client(1)).await.unwrap();
    let ann = house.signed_in(&house.ann).await.unwrap();
    assert!(!ann.user.has_totp && app.store.count_recovery_codes(ann.user.id).await.unwrap() == 0);
    let last = user::delete_own(app, &ann, &given(PASSWORD, ""), &client(1)).await;
    assert!(matches!(last, Err(SignInError::Store(StoreError::Conflict(_)))), "Acme has no other: {last:?}");
}

#[tokio::test]
async fn guesses_at_the_code_are_slowed_down_as_those_at_the_password() {
    let house = House::start().await;
    let (secret, _) = house.secure_ann().await;
    let sealed = house.give_password("ann@example.com", PASSWORD).await;
    for _ in 0..5 {
        // Asking for the code in between does not make the row of failures end.
        let asked = house.sign_in("ann@example.com", PASSWORD, None).await;
        assert!(matches!(asked, Err(SignInError::NeedsCode)), "{asked:?}");
        let missing = house.give_code(&sealed, " ", &client(1)).await;
        assert!(matches!(missing, Err(SignInError::NeedsCode)), "which is no guess: {missing:?}");
        let refused = house.give_code(&sealed, "00000x", &client(1)).await;
        assert!(matches!(refused, Err(SignInError::Wrong)), "{refused:?}");
    }
    house.advance(Duration::from_millis(1_999));
    let refused = house.give_code(&sealed, &house.code(&secret), &client(1)).await;
    assert!(matches!(refused, Err(SignInError::SlowDown { .. })), "the right one too: {refused:?}");
    let refused = house.sign_in("ann@example.com", PASSWORD, None).await;
    assert!(matches!(refused, Err(SignInError::SlowDown { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_recovery_code_stands_in_for_the_app_once_and_guesses_at_it_are_slowed_down() {
    let house = House::start().await;
    let (_, codes) = house.secure_ann().await;
    let (app, ann) = (&house.app, house.signed_in(&house.ann).await.unwrap());
    assert_eq!(codes.len(), 10);
    let sign_in = async |code: &RecoveryCode| {
        house.sign_in("ann@example.com", PASSWORD, Some(&code.in_groups().to_uppercase())).await
    };
    sign_in(&codes[0]).await.unwrap();
    assert_eq!(app.store.count_recovery_codes(ann.user.id).await.unwrap(), 9);
    let newer =
        user::new_recovery_codes(app, &ann, &given(PASSWORD, &codes[9].in_groups()), &client(1)).await;
    let newer = newer.unwrap();
    for used in [&codes[0], &codes[1], &codes[2], &codes[3], &codes[4]] {
        let refused = sign_in(used).await;
        assert!(matches!(refused, Err(SignInError::Store(StoreError::Conflict(_)))), "{refused:?}");
    }
    let refused = sign_in(&newer[0]).await;
    assert!(matches!(refused, Err(SignInError::SlowDown { .. })), "{refused:?}");
    house.advance(Duration::from_secs(2));
    sign_in(&newer[0]).await.unwrap();
}
