use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use binnacle_test_support::until;

#[tokio::test]
async fn waiting_ends_when_the_condition_holds() {
    let asked = AtomicU32::new(0);
    until(Duration::from_secs(10), async || {
        asked.fetch_add(1, Ordering::Relaxed) == 4
    })
    .await;
    assert_eq!(asked.into_inner(), 5);
}

#[tokio::test]
#[should_panic(expected = "still not so after 20ms")]
async fn waiting_for_what_never_comes_fails_the_test() {
    until(Duration::from_millis(20), async || false).await;
}
