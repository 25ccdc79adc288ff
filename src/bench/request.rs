//! Requests as bytes, made once and filled in.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use uuid::Uuid;

use super::seed;

/// Where a request has an id, until it is filled in.
const HOLE: &str = "00000000-0000-0000-0000-000000000000";

const UNPAIR: &str =
    "mutation($id: ID!) { result: unpairApplication(id: $id, mode: ASYNC) { id } }";
const UNREGISTER: &str =
    "mutation($id: ID!) { result: unregisterApplication(id: $id, mode: ASYNC) { id } }";
const REMOVE: &str =
    "mutation($id: ID!) { result: unregisterApplication(id: $id, mode: SYNC) { id } }";
const REGISTER: &str =
    "mutation($in: ApplicationRegisterInput!) { result: registerApplication(in: $in) { id } }";
const FIND: &str = "query($id: ID!) { result: application(id: $id) { \
    id name description status { condition timestamp } \
    webhooks { id type mode urlTemplate outputTemplate } } }";
const PAGE: &str = "query($after: PageCursor) { result: applications(first: 100, after: $after) { \
    data { id name description status { condition } labels webhooks { id type mode } } \
    pageInfo { endCursor hasNextPage } totalCount } }";

/// What the clients of a run ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An operation that leaves its application in place.
    Unpair,
    /// An operation that removes its application.
    Unregister,
    /// A new application with one webhook.
    Register,
    /// One application with its webhooks.
    Find,
    /// A hundred applications with their labels and webhooks.
    Page,
    /// A new application, which is removed again: two requests.
    Pair,
}

impl Kind {
    /// Whether it starts an operation.
    pub(super) fn is_operation(self) -> bool {
        matches!(self, Self::Unpair | Self::Unregister)
    }
}

/// The requests of a run, handed out one after the other.
pub(super) struct Requests {
    pub(super) kind: Kind,
    /// How many applications there are to go round.
    count: u64,
    /// Applications are of one group in turn; which groups are asked about, in turn.
    pattern: Vec<u64>,
    turns: AtomicU64,
    /// Turns that each group has had; there are as many groups.
    turns_of: Vec<AtomicU64>,
    /// One per tenant; requests go round them.
    main: Vec<Template>,
    /// The second request of a pair.
    second: Template,
}

/// A request with holes of 36 bytes for ids.
struct Template {
    bytes: Vec<u8>,
    holes: Vec<usize>,
}

impl Template {
    fn new(tenant: Option<Uuid>, query: &str, variables: &Value) -> Self {
        let body = json!({"query": query, "variables": variables}).to_string();
        let tenant = tenant.map_or_else(String::new, |tenant| format!("tenant: {tenant}\r\n"));
        let bytes = format!(
            "POST /graphql HTTP/1.1\r\nhost: binnacle\r\ncontent-type: application/json\r\n{tenant}\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let holes = bytes.match_indices(HOLE).map(|(at, _)| at).collect();
        Self {
            bytes: bytes.into_bytes(),
            holes,
        }
    }

    fn fill(&self, id: Uuid, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&self.bytes);
        for at in &self.holes {
            if let Some(hole) = buffer.get_mut(*at..*at + HOLE.len()) {
                id.hyphenated().encode_lower(hole);
            }
        }
    }
}

impl Requests {
    /// Requests about the first `count` applications, in the default tenant.
    pub(super) fn new(kind: Kind, count: u64) -> Self {
        Self::of_tenants(kind, count, &[None])
    }

    /// As [`Requests::new`]; application n belongs to tenant n modulo their number.
    pub(super) fn of_tenants(kind: Kind, count: u64, tenants: &[Option<Uuid>]) -> Self {
        let about = json!({"id": HOLE});
        let new = json!({"in": {
            "name": HOLE,
            "description": "made by a benchmark",
            "webhooks": [seed::webhook_input()],
        }});
        let (query, variables) = match kind {
            Kind::Unpair => (UNPAIR, &about),
            Kind::Unregister => (UNREGISTER, &about),
            Kind::Find => (FIND, &about),
            Kind::Register | Kind::Pair => (REGISTER, &new),
            Kind::Page => (PAGE, &Value::Null),
        };
        let templates = tenants
            .iter()
            .map(|tenant| Template::new(*tenant, query, variables));
        Self {
            kind,
            count,
            pattern: vec![0],
            turns: AtomicU64::new(0),
            turns_of: vec![AtomicU64::new(0)],
            main: templates.collect(),
            second: Template::new(None, REMOVE, &about),
        }
    }

    /// Of `groups` that take turns in the numbers of applications, those of `pattern` only, in
    /// its order.
    pub(super) fn in_groups(mut self, groups: u64, pattern: &[u64]) -> Self {
        pattern.clone_into(&mut self.pattern);
        self.turns_of = (0..groups).map(|_| AtomicU64::new(0)).collect();
        self
    }

    /// Writes the next request to `buffer`; gives the application's number and id. `None` when an
    /// application would have to be removed twice.
    pub(super) fn fill(&self, buffer: &mut Vec<u8>) -> Option<(u64, Uuid)> {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let position = usize::try_from(turn).ok()? % self.pattern.len();
        let group = *self.pattern.get(position)?;
        let groups = u64::try_from(self.turns_of.len()).ok()?;
        let own = self.turns_of.get(usize::try_from(group).ok()?)?;
        let turn = own.fetch_add(1, Ordering::Relaxed);
        let members = (self.count / groups).max(1);
        if self.kind == Kind::Unregister && turn >= members {
            return None;
        }
        let number = group + groups * (turn % members);
        let id = match self.kind {
            Kind::Register | Kind::Pair => binnacle_boot::ids::v4(),
            Kind::Unpair | Kind::Unregister | Kind::Find | Kind::Page => seed::application(number),
        };
        let tenant = usize::try_from(number).unwrap_or(0) % self.main.len();
        self.main.get(tenant)?.fill(id, buffer);
        Some((number, id))
    }

    /// Writes the request that removes an application again.
    pub(super) fn fill_second(&self, id: Uuid, buffer: &mut Vec<u8>) {
        self.second.fill(id, buffer);
    }
}

/// The id after `marker` in an answer; the answer itself when it is none that was hoped for.
pub(super) fn id_after(body: &[u8], marker: &[u8]) -> anyhow::Result<Uuid> {
    let refused = || anyhow::anyhow!("{}", String::from_utf8_lossy(body));
    let found = body
        .windows(marker.len())
        .position(|window| window == marker);
    let rest = found.and_then(|at| body.get(at + marker.len()..));
    let id = rest.and_then(|rest| rest.iter().position(|byte| *byte == b'"').zip(Some(rest)));
    let id = id.and_then(|(quote, rest)| rest.get(quote + 1..quote + 1 + HOLE.len()));
    id.and_then(|id| Uuid::try_parse_ascii(id).ok())
        .ok_or_else(refused)
}

/// The operation that an answer names.
pub(super) fn operation(body: &[u8]) -> anyhow::Result<Uuid> {
    const MARKER: &[u8] = b"\"operations\":[{\"id\":";
    id_after(body, MARKER)
}

/// The object that an answer names.
pub(super) fn object(body: &[u8]) -> anyhow::Result<Uuid> {
    const MARKER: &[u8] = b"\"result\":{\"id\":";
    id_after(body, MARKER)
}

/// Whether an answer carries what was asked for.
pub(super) fn check(body: &[u8]) -> anyhow::Result<()> {
    const DATA: &[u8] = b"\"result\":{";
    const ERRORS: &[u8] = b"\"errors\":[";
    let has = |what: &[u8]| body.windows(what.len()).any(|window| window == what);
    if has(ERRORS) || !has(DATA) {
        anyhow::bail!("{}", String::from_utf8_lossy(body));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_filled_in() {
        let requests = Requests::new(Kind::Unpair, 10);
        let mut buffer = Vec::new();
        assert!(requests.fill(&mut buffer).is_some());
        let (number, id) = requests.fill(&mut buffer).unwrap();
        assert_eq!((number, id), (1, seed::application(1)));
        let text = String::from_utf8(buffer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
        assert!(body.contains(&format!(r#""id":"{id}""#)));
    }

    #[test]
    fn groups_have_their_turns_and_applications_of_their_own() {
        let requests = Requests::new(Kind::Unpair, 9).in_groups(3, &[2, 0, 2]);
        let mut buffer = Vec::new();
        let numbers: Vec<_> = (0..6)
            .map(|_| requests.fill(&mut buffer).unwrap().0)
            .collect();
        assert_eq!(numbers, [2, 0, 5, 8, 3, 2]);
    }

    #[test]
    fn an_application_is_removed_once() {
        let requests = Requests::new(Kind::Unregister, 1);
        let mut buffer = Vec::new();
        assert!(requests.fill(&mut buffer).is_some());
        assert!(requests.fill(&mut buffer).is_none());
    }

    #[test]
    fn ids_are_found_in_answers() {
        let id = seed::application(7);
        let body = format!(
            r#"{{"data":{{"result":{{"id":"{id}"}}}},"extensions":{{"operations":[{{"id":"{id}","location":"x"}}]}}}}"#
        );
        assert_eq!(operation(body.as_bytes()).unwrap(), id);
        assert_eq!(object(body.as_bytes()).unwrap(), id);
        let error = operation(br#"{"errors":[{"message":"no"}]}"#).unwrap_err();
        assert!(error.to_string().contains("no"));
    }
}
