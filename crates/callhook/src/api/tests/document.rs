//! The OpenAPI document is complete and served.

use super::{Caller, Server};
use crate::api::openapi;
use serde_json::Value;

#[tokio::test]
async fn the_document_is_served_without_a_key() {
    let server = Server::start().await;
    let got = server.get(Caller::Anonymous, "/openapi.json").await.expect(200);
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.json()["openapi"], "3.1.0");
    assert_eq!(got.json()["components"]["securitySchemes"]["api_key"]["scheme"], "bearer");
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_says_how_it_fails() {
    let document = serde_json::to_value(openapi()).unwrap();
    let mut references = Vec::new();
    collect(&document, &mut references);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path}");
            for status in ["401", "403", "404", "422", "500", "503"] {
                assert!(responses.contains_key(status), "{method} {path} {status}");
            }
            let has_key = operation["security"].is_null();
            if method == "post" && has_key {
                let parameters = operation["parameters"].as_array().unwrap();
                let named = |parameter: &Value| parameter["name"] == "Idempotency-Key";
                assert!(parameters.iter().any(named), "{method} {path}");
            }
        }
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                references.push(reference.clone());
            }
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
