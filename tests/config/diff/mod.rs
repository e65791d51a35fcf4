//! What a change of a configuration means for people: said truly, said completely, and shown by
//! requests that `explain` confirms.

mod cases;
mod meaning;
mod properties;

use tower_access::clock::Timestamp;
use tower_access::inspect::Deployment;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

fn deployment(text: &str) -> Deployment {
    Deployment::parse(text, "access.yml").unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}
