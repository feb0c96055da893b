//! What is kept of destinations between transactions is never what was taken back.

use crate::harness::{Harness, Place, settings};
use domain::destination::DestinationUrl;
use store::call_flow::CallFlowSettings;

/// Makes each commit fail that changes a call flow; and lets them pass again.
const REFUSE: [&str; 2] = [
    "CREATE TABLE nobody (id INTEGER PRIMARY KEY);
    CREATE TABLE refused (id INTEGER REFERENCES nobody (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER refuse AFTER UPDATE ON call_flows BEGIN INSERT INTO refused VALUES (1); END",
    "CREATE TABLE nobody (id INTEGER PRIMARY KEY);
    CREATE TABLE refused (id INTEGER REFERENCES nobody (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE RULE refuse AS ON UPDATE TO call_flows DO ALSO INSERT INTO refused VALUES (1)",
];
const LET_PASS: [&str; 2] = ["DROP TRIGGER refuse", "DROP RULE refuse ON call_flows"];

fn alter(h: &Harness, [sqlite, postgres]: [&str; 2]) {
    match &h.place {
        Place::Schema(schema) => {
            crate::server::server().run(&format!("SET search_path TO {schema}; {postgres}"));
        }
        folder => {
            let path = folder.folder().join(store::engine::sqlite::FILE_NAME);
            rusqlite::Connection::open(path).unwrap().execute_batch(sqlite).unwrap();
        }
    }
}

fn to(url: &str) -> CallFlowSettings {
    let mut settings = settings();
    settings.post_call_webhook.url = DestinationUrl::parse(url).ok();
    settings
}

#[tokio::test]
async fn a_change_that_was_not_committed_is_not_remembered() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    h.planned(&flow).await;
    alter(&h, REFUSE);
    let lost =
        h.store.update_call_flow(h.business, flow.id, |_| Ok(to("https://never-saved.example.com/"))).await;
    assert!(lost.is_err(), "the commit has to fail for this test");
    alter(&h, LET_PASS);
    h.store.update_call_flow(h.business, flow.id, |_| Ok(to("https://saved.example.com/"))).await.unwrap();
    let (_, _, job) = h.planned(&flow).await;
    let url = job.unwrap().destination.settings.url.clone().unwrap();
    assert_eq!(url.as_str(), "https://saved.example.com/");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_behind_a_process_is_what_its_next_report_goes_by() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    for name in ["First", "Second"] {
        h.planned(&flow).await;
        alter(&h, [&format!("UPDATE call_flows SET name = '{name}'"); 2]);
        let (recorded, _, _) = h.planned(&flow).await;
        assert_eq!(recorded.call.call_flow_name.as_deref(), Some(name));
    }
    h.store.delete_call_flow(h.business, flow.id).await.unwrap();
    let refused = h.report(h.call(flow.id)).await.unwrap_err();
    assert!(matches!(refused, store::StoreError::Invalid(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_changed_is_not_asked_for_again() {
    let h = Harness::start().await;
    let flow = h.flow(|_| {}).await;
    let sent = || h.store.figures().statements.total();
    let mut of_report = Vec::new();
    for _ in 0..3 {
        let before = sent();
        h.planned(&flow).await;
        of_report.push(sent() - before);
    }
    let [first, second, third] = of_report[..] else { panic!("{of_report:?}") };
    assert_eq!(second, third);
    if crate::IS_POSTGRES {
        assert!(second < first, "{of_report:?}");
    }
}
