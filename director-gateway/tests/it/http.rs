//! The HTTP door as a client sees it.

use std::time::Duration;

use director_gateway::http::BODY_LIMIT;
use reqwest::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::support;

/// A gateway as its clients see it, with the default tenant `test`. No scheduler is around.
pub(crate) struct Gateway {
    pub(crate) client: Client,
    pub(crate) inside: support::Gateway,
    base: String,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::over(support::Gateway::sqlite().await).await
    }

    /// One on each database.
    pub(crate) async fn on_both() -> [Self; 2] {
        let postgres = support::Gateway::postgres().await;
        [Self::start().await, Self::over(postgres).await]
    }

    async fn over(inside: support::Gateway) -> Self {
        inside.tenants(&["test", "other"]).await;
        Self {
            client: Client::new(),
            base: inside.serve_by_default_to(Some("test")).await,
            inside,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Sends a body to `/graphql` as it is.
    async fn post(&self, body: impl Into<String>) -> (StatusCode, Value) {
        let request = self
            .client
            .post(self.url("/graphql"))
            .header(CONTENT_TYPE, "application/json");
        answer(request.body(body.into()).send().await.unwrap()).await
    }

    /// Sends a document with variables for a tenant, and gives the whole answer.
    pub(crate) async fn ask(&self, tenant: &str, query: &str, variables: Value) -> Value {
        let body = json!({"query": query, "variables": variables});
        let request = self
            .client
            .post(self.url("/graphql"))
            .header("Tenant", tenant);
        answer(request.json(&body).send().await.unwrap()).await.1
    }

    async fn query(&self, query: &str) -> (StatusCode, Value) {
        self.post(json!({"query": query}).to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }
}

pub(crate) async fn answer(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    (status, response.json().await.unwrap())
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or_default()
}

#[tokio::test]
async fn a_query_is_answered_at_both_addresses_and_by_both_methods() {
    let gateway = Gateway::start().await;
    let expected = json!({"data": {"__typename": "Query"}});
    assert_eq!(
        gateway.query("{ __typename }").await,
        (StatusCode::OK, expected.clone())
    );
    for path in ["/graphql", "/director/graphql"] {
        let response = gateway.get(&format!("{path}?query=%7B__typename%7D")).await;
        assert_eq!(
            response.headers()[CONTENT_TYPE],
            "application/json; charset=utf-8"
        );
        assert_eq!(answer(response).await, (StatusCode::OK, expected.clone()));
    }
}

#[tokio::test]
async fn empty_parentheses_are_taken_as_compass_takes_them() {
    let gateway = Gateway::start().await;
    let query = "query Q() { viewer() { id @include(if: true) } applications( ) { totalCount } }";
    let (status, answer) = gateway.query(query).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["data"]["applications"]["totalCount"], 0, "{answer}");
}

#[tokio::test]
async fn a_mutation_is_never_run_by_get() {
    let gateway = Gateway::start().await;
    let response = gateway.get("/graphql?query=mutation%7B__typename%7D").await;
    assert_eq!(response.headers()[ALLOW], "POST");
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    let twice = "/graphql?query=query+A%7B__typename%7D+mutation+B%7B__typename%7D";
    let chosen = |name: &str| format!("{twice}&operationName={name}");
    assert_eq!(gateway.get(&chosen("A")).await.status(), StatusCode::OK);
    assert_eq!(
        gateway.get(&chosen("B")).await.status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn other_methods_are_told_which_ones_there_are() {
    let gateway = Gateway::start().await;
    for (path, allowed) in [
        ("/graphql", "GET, POST"),
        ("/last_operation/application/x", "GET, POST"),
        ("/operations/x", "GET"),
    ] {
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
            let response = gateway
                .client
                .request(method, gateway.url(path))
                .send()
                .await
                .unwrap();
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(response.headers()[ALLOW], allowed, "{path}");
        }
    }
}

#[tokio::test]
async fn bodies_that_are_no_requests_are_refused_and_the_next_request_works() {
    let gateway = Gateway::start().await;
    for (body, status, expected) in [
        ("", 400, "BAD_REQUEST"),
        ("{", 400, "BAD_REQUEST"),
        ("null", 400, "BAD_REQUEST"),
        ("\u{feff}{\"query\":\"{__typename}\"}", 400, "BAD_REQUEST"),
        ("[{\"query\":\"{__typename}\"}]", 400, "BATCH_NOT_SUPPORTED"),
        ("{\"query\":[]}", 400, "BAD_REQUEST"),
        ("{\"query\":\"{\"}", 200, "GRAPHQL_PARSE_FAILED"),
        ("{\"query\":\"\"}", 200, "GRAPHQL_PARSE_FAILED"),
        (
            "{\"query\":\"{nothing}\"}",
            200,
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "{\"query\":\"{a:__typename}\",\"operationName\":\"B\"}",
            200,
            "OPERATION_RESOLUTION_FAILURE",
        ),
        (
            "{\"query\":\"subscription{x}\"}",
            200,
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ] {
        let (found, answer) = gateway.post(body).await;
        assert_eq!(
            (found.as_u16(), code(&answer)),
            (status, expected),
            "{body}: {answer}"
        );
        assert_eq!(answer["data"], Value::Null, "{body}");
    }
    assert_eq!(gateway.query("{ __typename }").await.0, StatusCode::OK);
}

#[tokio::test]
async fn only_json_in_utf8_is_read_and_only_json_is_written() {
    let gateway = Gateway::start().await;
    let send = async |kind: &'static str, accept: &'static str, body: Vec<u8>| {
        let request = gateway
            .client
            .post(gateway.url("/graphql"))
            .header(CONTENT_TYPE, kind);
        request
            .header(ACCEPT, accept)
            .body(body)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let body = br#"{"query":"{__typename}"}"#.to_vec();
    assert_eq!(send("application/json", "*/*", body.clone()).await, 200);
    assert_eq!(send("text/plain", "*/*", body.clone()).await, 415);
    assert_eq!(
        send("multipart/form-data; boundary=x", "*/*", body.clone()).await,
        415
    );
    assert_eq!(
        send("application/json; charset=utf-16", "*/*", body.clone()).await,
        415
    );
    assert_eq!(send("application/json", "text/html", body).await, 406);
    assert_eq!(
        send("application/json", "*/*", b"{\"query\":\"\xff\"}".to_vec()).await,
        400
    );
    let newer = "application/graphql-response+json";
    assert_eq!(
        send(
            "application/json",
            newer,
            br#"{"query":"{nothing}"}"#.to_vec()
        )
        .await,
        400
    );
}

#[tokio::test]
async fn a_body_of_two_mebibytes_is_served_and_a_longer_one_refused() {
    let gateway = Gateway::start().await;
    let body = |length: usize| {
        let start = r#"{"query":"{__typename}","variables":{"x":""#;
        let end = r#""}}"#;
        format!(
            "{start}{}{end}",
            "x".repeat(length - start.len() - end.len())
        )
    };
    assert_eq!(gateway.post(body(BODY_LIMIT)).await.0, StatusCode::OK);
    let (status, answer) = gateway.post(body(BODY_LIMIT + 1)).await;
    assert_eq!(
        (status, code(&answer)),
        (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE")
    );
    // Without an announced length.
    let stream = futures::stream::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(65536)));
    let chunks = futures::StreamExt::take(stream, 64);
    let request = gateway
        .client
        .post(gateway.url("/graphql"))
        .header(CONTENT_TYPE, "application/json");
    let sent = request
        .body(reqwest::Body::wrap_stream(chunks))
        .send()
        .await;
    assert_eq!(sent.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(gateway.query("{ __typename }").await.0, StatusCode::OK);
}

#[tokio::test]
async fn hostile_documents_are_refused_with_their_codes() {
    let gateway = Gateway::start().await;
    let bomb: String = (0..30)
        .map(|i| format!("fragment F{i} on Query {{ ...F{0} ...F{0} }} ", i + 1))
        .chain(["fragment F30 on Query { __typename } { ...F0 }".to_owned()])
        .collect();
    let deep = format!(
        "{}__typename{}",
        "{ a: viewer ".repeat(200),
        "}".repeat(200)
    );
    let wide = format!("{{ {} }}", "a ".repeat(50_000));
    let aliases: Vec<_> = (0..1_000).map(|i| format!("a{i}: __typename")).collect();
    let aliases = aliases.join(" ");
    for (query, expected) in [
        (bomb, "QUERY_TOO_COMPLEX"),
        (deep, "QUERY_TOO_DEEP"),
        (wide, "QUERY_TOO_LARGE"),
        (format!("{{ {aliases} }}"), "QUERY_TOO_COMPLEX"),
    ] {
        let (status, answer) = gateway.query(&query).await;
        assert_eq!(
            (status, code(&answer)),
            (StatusCode::OK, expected),
            "{answer}"
        );
        assert!(answer.to_string().len() < 1_000);
    }
}

#[tokio::test]
async fn variables_of_any_shape_are_refused_rather_than_fatal() {
    let gateway = Gateway::start().await;
    let query = "query($first: Int) { applications(first: $first) { totalCount } }";
    for first in [
        "\"x\"",
        "{}",
        "[[]]",
        "1e400",
        "99999999999999999999999",
        "1.5",
        "true",
    ] {
        let body = format!("{{\"query\":\"{query}\",\"variables\":{{\"first\":{first}}}}}");
        let (status, answer) = gateway.post(body).await;
        assert!(matches!(status.as_u16(), 200 | 400), "{first}: {status}");
        assert_eq!(answer["data"], Value::Null, "{first}");
        assert!(
            answer["errors"][0]["message"].is_string(),
            "{first}: {answer}"
        );
    }
}

#[tokio::test]
async fn an_unknown_tenant_is_refused_before_anything_is_executed() {
    let gateway = Gateway::start().await;
    let request = gateway
        .client
        .post(gateway.url("/graphql"))
        .header("Tenant", "nobody");
    let response = request
        .json(&json!({"query": "{__typename}"}))
        .send()
        .await
        .unwrap();
    let (status, answer) = answer(response).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        answer["errors"][0]["message"],
        "Tenant not found [externalTenant=nobody]"
    );
    assert_eq!(answer["errors"][0]["extensions"]["error_code"], 25);
}

#[tokio::test]
async fn poll_urls_refuse_what_they_cannot_know() {
    let gateway = Gateway::start().await;
    let unknown = "deadbeef-0000-4000-8000-000000000001";
    for (path, status, number) in [
        (format!("/last_operation/application/{unknown}"), 404, 20),
        (format!("/last_operation/runtime/{unknown}"), 400, 22),
        ("/last_operation/application/abc".to_owned(), 400, 22),
        (format!("/operations/{unknown}"), 404, 20),
        ("/operations/abc".to_owned(), 400, 22),
    ] {
        let (found, answer) = answer(gateway.get(&path).await).await;
        assert_eq!(found.as_u16(), status, "{path}");
        assert_eq!(
            answer["errors"][0]["extensions"]["error_code"], number,
            "{path}"
        );
    }
    for path in [
        "/last_operation/application/%00",
        "/operations/%2e%2e",
        "/operations/a/b",
    ] {
        let status = gateway.get(path).await.status().as_u16();
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
}

#[tokio::test]
async fn waiting_for_an_unknown_operation_does_not_wait() {
    let gateway = Gateway::start().await;
    let path = "/operations/deadbeef-0000-4000-8000-000000000001";
    let request = gateway
        .client
        .get(gateway.url(path))
        .header("Prefer", "wait=25");
    let response = request
        .timeout(Duration::from_secs(10))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()["preference-applied"], "wait=25");
}

#[tokio::test]
async fn a_document_that_was_found_valid_is_refused_with_variables_that_do_not_fit() {
    let gateway = Gateway::start().await;
    let one = "query($id: ID!) { application(id: $id) { id } }";
    let two = "query Two($first: Int, $name: ID!) { applications(first: $first) { totalCount } \
        application(id: $name) { id } }";
    let object = "mutation($id: ID!, $name: String!) { registerApplication(in: {name: $name, \
        integrationSystemID: $id, labels: 5, webhooks: [{type: NONE}]}) { id } }";
    for document in [one, two, object] {
        for variables in [
            json!({"id": "a", "name": "b"}),
            json!({"id": "c", "name": "d", "first": 1}),
            json!({"id": 1, "name": true, "first": "x"}),
            json!({"id": {}, "name": [], "first": 1.5}),
            json!({"id": null, "name": null}),
            json!({"id": ["a"], "name": ["b"]}),
            json!({}),
            json!({"id": "e", "name": "f"}),
        ] {
            // Never seen before, since its text is another.
            let new = format!("{document} # {variables}");
            let expected = gateway.ask("test", &new, variables.clone()).await;
            let found = gateway.ask("test", document, variables.clone()).await;
            assert_eq!(found, expected, "{document} {variables}");
        }
    }
}
