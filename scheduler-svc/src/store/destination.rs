//! Which system an operation calls.

use binnacle_domain::operation::Spec;

/// The system that an operation's first webhook calls.
pub(super) fn destination(spec: &Spec) -> i64 {
    let Some(webhook) = spec.webhooks.first() else {
        return 0;
    };
    // FNV-1a, the same in every version: it is stored.
    let bytes = webhook.destination().bytes();
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}
