//! Which system an operation calls.

use binnacle_domain::operation::Spec;

/// The system that an operation's first webhook calls: its authority, or its template where that is rendered.
pub(super) fn destination(spec: &Spec) -> i64 {
    let Some(webhook) = spec.webhooks.first() else {
        return 0;
    };
    let text = match (&webhook.url, &webhook.url_template) {
        (Some(url), _) => authority(url),
        (None, Some(template)) => template,
        (None, None) => "",
    };
    // FNV-1a, the same in every version: it is stored.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_host_and_port() {
        assert_eq!(authority("http://a.example:80/x?y#z"), "a.example:80");
        assert_eq!(authority("https://b.example?y"), "b.example");
        assert_eq!(authority("b"), "b");
    }
}
