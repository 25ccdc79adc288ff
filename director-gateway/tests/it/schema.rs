//! The schema as it is published.

use std::path::Path;

#[test]
fn the_committed_schema_is_the_one_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.graphql");
    let served = director_gateway::graphql::sdl();
    if std::env::var_os("BINNACLE_UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &served).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let different = committed
        .lines()
        .zip(served.lines())
        .find(|(old, new)| old != new);
    assert!(
        committed == served,
        "schema.graphql differs, first at {different:?}; run this test with \
         BINNACLE_UPDATE_SCHEMA=1 to write it anew"
    );
}
