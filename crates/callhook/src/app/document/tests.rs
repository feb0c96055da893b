//! What is read, what is refused and how it is said.

use super::*;
use serde_json::json;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    #[allow(dead_code, reason = "only read")]
    flag: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only read")]
struct Outer {
    name: String,
    #[serde(default, deserialize_with = "whole")]
    count: Option<i64>,
    #[serde(default, deserialize_with = "object_or_null")]
    inner: Option<Inner>,
    #[serde(default)]
    list: Vec<u32>,
}

#[track_caller]
fn check(json: &str, field: &str, reason: &str) {
    match read::<Outer>(json.as_bytes()) {
        Err(Refused::Invalid(refused)) => {
            assert_eq!(refused.field, field, "{json}");
            assert!(refused.reason.contains(reason), "{json}: {refused}");
        }
        other => panic!("{json}: {other:?}"),
    }
}

#[test]
fn a_refusal_names_the_field_and_not_the_value() {
    check("{}", "name", "is required");
    check(r#"{"name":5}"#, "name", "must be a string");
    check(r#"{"name":"hunter2","count":"hunter2"}"#, "count", "must be a whole number");
    check(r#"{"name":"x","count":1.5}"#, "count", "must be a whole number");
    check(r#"{"name":"x","count":18446744073709551615}"#, "count", "out of range");
    check(r#"{"name":"x","inner":{}}"#, "inner.flag", "is required");
    check(r#"{"name":"x","inner":{"flag":1}}"#, "inner.flag", "must be true or false");
    check(r#"{"name":"x","inner":[true]}"#, "inner", "must be an object");
    check(r#"{"name":"x","list":[1,-1]}"#, "list[1]", "must be a whole number that is not negative");
    check(r#"{"name":"x","list":{}}"#, "list", "must be a list");
    check(r#"{"name":"x","nmae":1}"#, "nmae", "is not known here; expected is one of name, count");
    check(r#"{"name":"x","name":"y"}"#, "name", "is given twice");
    check(r#"["x"]"#, "", "must be an object");
    check("null", "", "must be an object");
}

#[test]
fn what_is_no_json_is_malformed() {
    for json in ["", "{", "{\"name\":\"x\"}}", "{\"name\":\"\u{1}\"}", "{name:1}"] {
        assert!(matches!(read::<Outer>(json.as_bytes()), Err(Refused::Malformed(_))), "{json}");
    }
    assert!(matches!(read::<Outer>(b"{\"name\":\"\xff\"}"), Err(Refused::Malformed(_))));
}

#[test]
fn a_lone_surrogate_is_replaced() {
    assert_eq!(read::<Outer>(br#"{"name":"a\ud83d"}"#).unwrap().name, "a\u{fffd}");
}

#[track_caller]
fn check_merge(target: Value, patch: Value, expected: &Value) {
    let mut merged = target;
    merge(&mut merged, patch);
    assert_eq!(merged, *expected);
}

/// The examples of RFC 7386, appendix A.
#[test]
fn patches_merge_as_the_rfc_says() {
    check_merge(json!({"a":"b"}), json!({"a":"c"}), &json!({"a":"c"}));
    check_merge(json!({"a":"b"}), json!({"b":"c"}), &json!({"a":"b","b":"c"}));
    check_merge(json!({"a":"b"}), json!({"a":null}), &json!({}));
    check_merge(json!({"a":["b"]}), json!({"a":"c"}), &json!({"a":"c"}));
    check_merge(json!({"a":"c"}), json!({"a":["b"]}), &json!({"a":["b"]}));
    check_merge(json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), &json!({"a":{"b":"d"}}));
    check_merge(json!({"a":"foo"}), json!({"a":{"bb":{"ccc":null}}}), &json!({"a":{"bb":{}}}));
    check_merge(json!({"e":null}), json!({"a":1}), &json!({"e":null,"a":1}));
    check_merge(json!({}), json!({"a":{"bb":{"ccc":null}}}), &json!({"a":{"bb":{}}}));
}
