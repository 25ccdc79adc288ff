//! Plays what Compass's webhook client did, over real connections: the same requests have to
//! arrive and the same conclusions be drawn, but for what is listed with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use binnacle_proto::common::v1::{AttemptResult, Webhook, WebhookMode};
use binnacle_proto::executor::v1::{Call, CallReport};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::target::{Arrived, Target};
use crate::worker::{Executor, OPERATION, WEBHOOK};

const DEVIATIONS: &str = "client-deviations.json";
/// Headers that nobody asked for: the connection's, the client's and ours.
const AUTOMATIC: [&str; 8] = [
    "host",
    "user-agent",
    "content-length",
    "accept",
    "accept-encoding",
    "x-request-id",
    "idempotency-key",
    "traceparent",
];
/// Errors in which Compass's own code had the last word; such a webhook can never be called.
const FINAL: [&str; 9] = [
    "the webhook entity cannot be nil",
    "missing output template",
    "missing status template",
    "missing webhook url",
    "unable to parse webhook URL",
    "unable to parse webhook input body",
    "unable to parse webhook headers",
    "unable to parse response into webhook output template",
    "unable to parse response status into status template",
];

#[expect(
    clippy::disallowed_methods,
    reason = "the folder to play is chosen from outside"
)]
fn folder() -> PathBuf {
    std::env::var("COMPASS_WEBHOOK_CASES").map_or_else(|_| own_folder(), PathBuf::from)
}

fn own_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/compass/webhooks")
}

fn read(path: &PathBuf) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Credentials come with their own part of the registry; `open` is no credential.
fn is_about_credentials(case: &Value) -> bool {
    let auth = &case["webhook"]["auth"];
    !auth.is_null() && auth["accessStrategy"] != "open" || !auth["credential"].is_null()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_calls_and_polls_come_to_the_same() {
    let cases = read(&folder().join("client.json"));
    let cases = cases["cases"].as_array().unwrap();
    let executor = Executor::start().await;
    let (mut played, mut differing, mut pending) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
    for case in cases {
        let name = case["name"].as_str().unwrap().to_owned();
        if is_about_credentials(case) {
            pending.push(name);
            continue;
        }
        let differences = play(&executor, case).await;
        if !differences.is_empty() {
            differing.insert(name.clone(), differences);
        }
        played.insert(name);
    }
    println!("pending, about credentials: {pending:?}");
    compare(&played, &differing);
}

/// Holds the differences against those that are known and explained.
fn compare(played: &BTreeSet<String>, differing: &BTreeMap<String, Vec<String>>) {
    let paths = [folder(), own_folder()].map(|folder| folder.join(DEVIATIONS));
    let known = paths.iter().find(|path| path.exists()).map(read);
    let known: BTreeMap<String, String> =
        serde_json::from_value(known.unwrap_or_else(|| serde_json::json!({}))).unwrap();
    for (name, differences) in differing {
        let note = known.get(name).map_or("NEW", |reason| reason);
        println!("{name}: {note}\n  {}", differences.join("\n  "));
    }
    let unknown: Vec<_> = differing
        .keys()
        .filter(|name| !known.contains_key(*name))
        .collect();
    let is_own = folder() == own_folder();
    let unused: Vec<_> = known
        .keys()
        .filter(|name| !differing.contains_key(*name) && (is_own || played.contains(*name)))
        .collect();
    assert!(
        unknown.is_empty() && unused.is_empty(),
        "{} cases differ and are not listed: {unknown:?}; {} entries are not needed: {unused:?}",
        unknown.len(),
        unused.len(),
    );
}

async fn play(executor: &Executor, case: &Value) -> Vec<String> {
    let target = Target::bound().await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead_address = dead.local_addr().unwrap();
    drop(dead);
    let text = case
        .to_string()
        .replace("${HOST}", &target.address.to_string())
        .replace(
            "${LOCALHOST}",
            &format!("localhost:{}", target.address.port()),
        )
        .replace("${DEADHOST}", &dead_address.to_string());
    let case: Value = serde_json::from_str(&text).unwrap();
    target.will_answer(case["server"].as_array().unwrap().clone());
    let report = executor.worker().await.exchange(call(&case)).await;
    let mut differences = sent_differences(&case["sent"], &target.arrived());
    differences.extend(concluded_differences(&case, &report));
    differences
}

fn call(case: &Value) -> Call {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let webhook = &case["webhook"];
    let mode = match webhook["mode"].as_str() {
        Some("SYNC") => WebhookMode::Sync,
        Some("ASYNC") => WebhookMode::Async,
        Some("ASYNC_CALLBACK") => WebhookMode::AsyncCallback,
        _ => WebhookMode::Unspecified,
    };
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let definition = Webhook {
        id: WEBHOOK.to_owned(),
        r#type: text(&webhook["type"]).unwrap_or_else(|| "UNREGISTER_APPLICATION".to_owned()),
        mode: mode.into(),
        url: text(&webhook["url"]),
        url_template: text(&webhook["urlTemplate"]),
        input_template: text(&webhook["inputTemplate"]),
        header_template: text(&webhook["headerTemplate"]),
        output_template: text(&webhook["outputTemplate"]),
        status_template: text(&webhook["statusTemplate"]),
        correlation_id_key: text(&webhook["correlationIdKey"]),
        retry_interval_seconds: number(&webhook["retryInterval"]),
        timeout_seconds: number(&webhook["timeout"]),
    };
    let time = case["client_timeout_ms"]
        .as_u64()
        .map(Duration::from_millis);
    let time = time.unwrap_or(Duration::from_secs(10));
    Call {
        operation_id: OPERATION.to_owned(),
        webhook_index: 0,
        attempt: 1,
        webhook: (webhook["null"] != true).then_some(definition),
        request_object: case["object"].to_string(),
        correlation_id: text(&case["correlationID"]).unwrap_or_default(),
        poll_url: text(&case["pollURL"]).unwrap_or_default(),
        valid_for: prost_types::Duration::try_from(time).ok(),
        traceparent: String::new(),
    }
}

fn sent_differences(expected: &Value, arrived: &[Arrived]) -> Vec<String> {
    let expected = expected.as_array().unwrap();
    let shown: Vec<_> = arrived.iter().map(|a| (&a.method, &a.path)).collect();
    if expected.len() != arrived.len() {
        let count = expected.len();
        return vec![format!(
            "sent {} requests instead of {count}: {shown:?}",
            arrived.len()
        )];
    }
    let mut differences = Vec::new();
    for (expected, arrived) in expected.iter().zip(arrived) {
        let pairs = expected["headers"].as_array().unwrap().iter();
        let wanted: BTreeSet<(String, String)> = pairs
            .map(|pair| {
                let [name, value] = [&pair[0], &pair[1]].map(|part| part.as_str().unwrap());
                (name.to_lowercase(), value.to_owned())
            })
            .collect();
        let mut headers: BTreeSet<(String, String)> = arrived
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.clone()))
            .collect();
        headers.retain(|(name, value)| {
            let is_wanted = wanted.contains(&(name.clone(), value.clone()));
            is_wanted || !AUTOMATIC.contains(&name.as_str())
        });
        for (what, expected, sent) in [
            (
                "method",
                expected["method"].as_str().unwrap(),
                &arrived.method,
            ),
            ("path", expected["path"].as_str().unwrap(), &arrived.path),
            ("body", expected["body"].as_str().unwrap(), &arrived.body),
        ] {
            if expected != sent {
                differences.push(format!("sent {what} {sent:?} instead of {expected:?}"));
            }
        }
        if headers != wanted {
            differences.push(format!("sent headers {headers:?} instead of {wanted:?}"));
        }
    }
    differences
}

/// The result, and the text where the conclusion was drawn from an answer.
struct Concluded {
    result: AttemptResult,
    error: Option<String>,
    poll_url: String,
}

fn expected(case: &Value) -> Concluded {
    let result = &case["result"];
    let response = &result["response"];
    let error = result["error"].as_str();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let said = |name: &str| response["status"] == response[name];
    let last = case["server"].as_array().unwrap().last();
    let code = last.map_or(&Value::Null, |answer| &answer["status"]);
    if case["op"] == "poll" && response.is_object() {
        // The words of a failure that the system reports for good are kept, and end it.
        if said("failed_status_identifier") && response["success_status_code"] == *code {
            let error = Some(text(&response["error"])).filter(|error| !error.is_empty());
            let none = "webhook operation has finished with failed status";
            return Concluded {
                result: AttemptResult::Failed,
                error: Some(error.unwrap_or_else(|| none.to_owned())),
                poll_url: String::new(),
            };
        }
    }
    let (result, error) = match (error, result["kind"].as_str()) {
        (Some(error), Some("gone")) => (AttemptResult::Gone, Some(error.to_owned())),
        (Some(error), _) if FINAL.iter().any(|text| error.starts_with(text)) => {
            (AttemptResult::Failed, None)
        }
        (Some(error), _) => (
            AttemptResult::Retried,
            response.is_object().then(|| error.to_owned()),
        ),
        (None, _) if case["op"] == "do" && case["webhook"]["mode"] == "ASYNC" => {
            (AttemptResult::Accepted, Some(String::new()))
        }
        (None, _) if case["op"] == "do" => (AttemptResult::Succeeded, Some(String::new())),
        (None, _) if said("in_progress_status_identifier") => {
            (AttemptResult::InProgress, Some(String::new()))
        }
        (None, _) if said("success_status_identifier") => {
            (AttemptResult::Succeeded, Some(String::new()))
        }
        // An unknown status is tried again until the timeout; Compass forgot about it.
        (None, _) => (AttemptResult::Retried, None),
    };
    let poll_url = match result {
        AttemptResult::Accepted => text(&response["location"]),
        _ => String::new(),
    };
    Concluded {
        result,
        error,
        poll_url,
    }
}

fn concluded_differences(case: &Value, report: &CallReport) -> Vec<String> {
    let expected = expected(case);
    let mut differences = Vec::new();
    if report.result() != expected.result {
        let (result, instead) = (report.result(), expected.result);
        let error = &report.error;
        differences.push(format!(
            "concluded {result:?} ({error}) instead of {instead:?}"
        ));
    }
    if let Some(error) = expected.error
        && error != report.error
    {
        differences.push(format!("said {:?} instead of {error:?}", report.error));
    }
    if report.poll_url != expected.poll_url {
        let (url, instead) = (&report.poll_url, expected.poll_url);
        differences.push(format!("will poll {url:?} instead of {instead:?}"));
    }
    let code = &case["result"]["response"]["actual_status_code"];
    if code.is_u64() && *code != report.status_code {
        differences.push(format!(
            "had status {} instead of {code}",
            report.status_code
        ));
    }
    differences
}
