//! GraphiQL's page and all that it loads come from the gateway.

use reqwest::StatusCode;

use crate::http::Gateway;

#[tokio::test]
async fn the_page_and_everything_it_names_is_served_from_here() {
    let gateway = Gateway::start().await;
    let page = gateway
        .client
        .get(gateway.url("/graphiql"))
        .send()
        .await
        .unwrap();
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'self'")
    );
    let page = page.text().await.unwrap();
    let named: Vec<_> = page
        .split(['"', '\''])
        .filter(|text| text.starts_with("graphiql/"))
        .collect();
    assert_eq!(named.len(), 6, "{page}");
    for name in named {
        let asset = gateway
            .client
            .get(gateway.url(&format!("/{name}")))
            .send()
            .await
            .unwrap();
        assert_eq!(asset.status(), StatusCode::OK, "{name}");
        assert!(!asset.text().await.unwrap().is_empty(), "{name}");
    }
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "{page}"
    );
    let missing = gateway
        .client
        .get(gateway.url("/graphiql/../Cargo.toml"))
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}
