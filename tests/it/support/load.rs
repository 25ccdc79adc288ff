//! Operations of every kind, started while processes die.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::witness::{End, Promise, recorded};
use super::{Accepted, Answer, External, Gateway, Mesh, PATIENCE};

const UNREGISTER: &str = "UNREGISTER_APPLICATION";
const IN_USE: &str = "artefacts are in use";

/// What is asked for, and what the external system makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Unregistered; the external system answers at once.
    Sync,
    /// Unregistered; the external system is polled.
    Job,
    /// Unregistered; the external system is polled and reports a failure.
    FailingJob,
    /// Unregistered; the external system fails at first.
    Later,
    /// Unpaired.
    Unpaired,
    /// Registered.
    Registered,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Sync,
        Self::Job,
        Self::FailingJob,
        Self::Later,
        Self::Unpaired,
        Self::Registered,
    ];

    fn mutation(self) -> &'static str {
        match self {
            Self::Unpaired => "unpairApplication",
            _ => "unregisterApplication",
        }
    }

    pub(crate) fn end(self) -> End {
        match self {
            Self::Sync | Self::Job | Self::Later => End::Removed,
            Self::Unpaired => End::Initial,
            Self::Registered => End::Created,
            Self::FailingJob => End::Failed {
                error: IN_USE,
                condition: "DELETE_FAILED",
            },
        }
    }

    fn webhook(self, external: &External) -> Value {
        match self {
            Self::Sync | Self::Unpaired => external.sync(UNREGISTER, "/sync"),
            Self::Registered => external.sync("REGISTER_APPLICATION", "/sync"),
            Self::Later => external.sync(UNREGISTER, "/later"),
            Self::Job => external.asynchronous(UNREGISTER, "/job"),
            Self::FailingJob => external.asynchronous(UNREGISTER, "/failing"),
        }
    }
}

/// Tells the external system what to make of all kinds.
pub(crate) fn script(external: &External) {
    let moment = Duration::from_millis(20);
    external.script("/sync/*", [Answer::ok().after(moment)]);
    let broken = Answer::new(503, r#"{"error": "not yet"}"#);
    external.script("/later/*", [broken, Answer::ok().after(moment)]);
    // The location is under another path, so that the script of a call and of a poll differ.
    for (kind, end) in [
        ("job", Answer::status("SUCCEEDED")),
        (
            "failing",
            Answer::new(
                200,
                &json!({"status": "FAILED", "error": IN_USE}).to_string(),
            ),
        ),
    ] {
        let location = format!("{{base}}/status-of-{kind}{{path}}");
        let accepted = Answer::new(202, "{}").header("location", &location);
        external.script(&format!("/{kind}/*"), [accepted.after(moment)]);
        let in_progress = Answer::status("IN_PROGRESS");
        external.script(&format!("/status-of-{kind}/*"), [in_progress, end]);
    }
}

/// One operation that is wanted.
pub(crate) struct Wanted {
    kind: Kind,
    name: String,
    webhook: Value,
    /// `None`: the operation makes it.
    application: Option<String>,
}

impl Wanted {
    /// Registers the application that the operation will be about.
    pub(crate) async fn prepare(
        kind: Kind,
        name: &str,
        gateway: &Gateway,
        external: &External,
    ) -> Self {
        let prepared = Self::try_prepare(kind, name, gateway, external).await;
        prepared.unwrap_or_else(|| panic!("{name} cannot be registered"))
    }

    /// As [`prepare`](Self::prepare); `None` when the gateway did not answer. May be tried again.
    pub(crate) async fn try_prepare(
        kind: Kind,
        name: &str,
        gateway: &Gateway,
        external: &External,
    ) -> Option<Self> {
        let webhook = kind.webhook(external);
        let application = match kind {
            Kind::Registered => None,
            _ => Some(gateway.register_if_up(name, json!([webhook])).await?),
        };
        Some(Self {
            kind,
            name: name.to_owned(),
            webhook,
            application,
        })
    }

    /// Asks for the operation; `None` when nobody knows what came of that.
    pub(crate) async fn start(&self, gateway: &Gateway) -> Option<Accepted> {
        let answer = if let Some(application) = &self.application {
            gateway.try_start(self.kind.mutation(), application).await
        } else {
            let webhooks = json!([self.webhook]);
            gateway.try_register_async(&self.name, &webhooks).await
        };
        let answer = answer.ok()?;
        let accepted = Accepted::read(&answer);
        if accepted.is_none() {
            let code = answer["errors"][0]["extensions"]["error_code"].as_i64();
            assert!(
                matches!(code, Some(10 | 20 | 31 | 32)),
                "{:?} {}: {answer}",
                self.kind,
                self.name
            );
        }
        accepted
    }

    pub(crate) fn promise(&self, accepted: Accepted) -> Promise {
        Promise {
            accepted,
            end: self.kind.end(),
        }
    }

    /// Finds out what came of a start that was not answered, and asks again if nothing did.
    pub(crate) async fn settle(&self, mesh: &Mesh) -> Promise {
        let gateway = mesh.gateway();
        let found = match &self.application {
            Some(application) => Some(application.clone()),
            None => gateway.application_named(&self.name).await,
        };
        if let Some(application) = found {
            let location = format!("/last_operation/application/{application}");
            gateway.end_of(&location).await;
            let operations = recorded(&mesh.scheduler(), &application).await;
            assert!(operations.len() < 2, "{}: {operations:#?}", self.name);
            if let Some((operation, _)) = operations.first() {
                let operation = operation.spec.as_ref().unwrap().operation_id.clone();
                return self.promise(Accepted {
                    application,
                    operation,
                    location,
                });
            }
        }
        let accepted = self.start(&gateway).await;
        self.promise(accepted.unwrap_or_else(|| panic!("{} is locked", self.name)))
    }
}

/// Asks for operations again and again, and panics when one of them goes back: from an end, or to unknown.
pub(crate) struct Watch {
    watchers: JoinSet<()>,
    is_over: Arc<AtomicBool>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            watchers: JoinSet::new(),
            is_over: Arc::default(),
        }
    }

    pub(crate) fn over(&mut self, gateway: &Gateway, accepted: &Accepted) {
        let (gateway, accepted) = (gateway.clone(), accepted.clone());
        let is_over = Arc::clone(&self.is_over);
        self.watchers.spawn(async move {
            let mut ended = None;
            while !is_over.load(Ordering::Relaxed) {
                look(&gateway, &accepted, &mut ended).await;
                sleep(Duration::from_millis(200)).await;
            }
        });
    }

    /// Ends the watch, and fails as the watchers have.
    pub(crate) async fn end(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.watchers.join_next().await {
            if let Err(error) = ended {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

async fn look(gateway: &Gateway, accepted: &Accepted, ended: &mut Option<Value>) {
    let Ok(response) = gateway.get(&accepted.own_location()).await else {
        return;
    };
    let status = response.status();
    let Ok(text) = response.text().await else {
        return;
    };
    assert_ne!(status, 404, "{accepted:?}: {text}");
    if status != 200 {
        return;
    }
    let body: Value = serde_json::from_str(&text).unwrap();
    let told = body["status"].clone();
    if let Some(ended) = ended.as_ref() {
        assert_eq!(told, *ended, "{accepted:?}: went back: {text}");
    } else if told != "IN_PROGRESS" {
        *ended = Some(told);
    }
}

impl Gateway {
    /// Registers an application unless that was done before. `None` when the gateway is away.
    async fn register_if_up(&self, name: &str, webhooks: Value) -> Option<String> {
        let answer = self
            .try_ask(
                "mutation ($in: ApplicationRegisterInput!) { result: registerApplication(in: $in) { id } }",
                json!({"in": {"name": name, "webhooks": webhooks}}),
            )
            .await
            .ok()?;
        let id = answer.pointer("/data/result/id").and_then(Value::as_str);
        match (id, answer["errors"][0]["extensions"]["error_code"].as_i64()) {
            (Some(id), _) => Some(id.to_owned()),
            // Its name is taken: an earlier try was not answered.
            (None, Some(31)) => self.application_named(name).await,
            (None, Some(10)) => None,
            (None, _) => panic!("{name}: {answer}"),
        }
    }

    /// The id of the application with this name.
    async fn application_named(&self, name: &str) -> Option<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let asked = self
                .try_ask(
                    "{ result: applications(first: 200) { data { id name } } }",
                    json!({}),
                )
                .await;
            if let Ok(answer) = asked
                && let Some(rows) = answer["data"]["result"]["data"].as_array()
            {
                let found = rows.iter().find(|row| row["name"] == name);
                return found.map(|row| super::client::text(row, "/id"));
            }
            assert!(Instant::now() < end, "the applications cannot be listed");
            sleep(Duration::from_millis(100)).await;
        }
    }
}
