//! What it costs to find the application of a request, among 10 and among 10,000 destinations:
//! `cargo bench --features full --bench matching`.
//!
//! Prints criterion's timings, then a table of medians and allocations for one request. Requests go
//! round all destinations, so that the larger sets also pay for the memory they take.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench states what it expects"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use tower_access::application::{Destination, Router};

const COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];

type Place = (String, String);

/// A destination, and a host and path that belong to it.
type Make = fn(usize) -> (String, Place);

const KINDS: [(&str, Make); 7] = [
    ("mixed", mixed),
    ("exact hosts, several paths each", exact),
    ("one-label wildcards", one_label),
    ("`prefix*.` wildcards of one parent", prefix),
    ("paths of one host", paths),
    ("wildcard paths of one host", wildcard_paths),
    ("wildcards in the middle of the host", middle),
];

fn mixed(n: usize) -> (String, Place) {
    match n % 10 {
        0..=4 => exact(n),
        5 => one_label(n),
        6 => prefix(n),
        7 => paths(n),
        8 => wildcard_paths(n),
        _ => middle(n),
    }
}

fn exact(n: usize) -> (String, Place) {
    let host = format!("app{}.example.com", n / 4);
    let path = ["", "/admin", "/api/v2/public", "/docs"][n % 4];
    (format!("{host}{path}"), (host, format!("{path}/index.html")))
}

fn one_label(n: usize) -> (String, Place) {
    (format!("*.tenant{n}.example.com"), (format!("www.tenant{n}.example.com"), "/a/b".to_owned()))
}

fn prefix(n: usize) -> (String, Place) {
    let host = format!("review{n}-pull.preview.example.com");
    (format!("review{n}-*.preview.example.com"), (host, "/a/b".to_owned()))
}

fn paths(n: usize) -> (String, Place) {
    let host = "shared.example.com";
    (format!("{host}/team{n}"), (host.to_owned(), format!("/team{n}/board/7")))
}

fn wildcard_paths(n: usize) -> (String, Place) {
    let host = "tenants.example.com";
    (format!("{host}/tenant{n}/*/admin"), (host.to_owned(), format!("/tenant{n}/a/admin/users")))
}

fn middle(n: usize) -> (String, Place) {
    (
        format!("app.*.region{n}.example.com"),
        (format!("app.x.region{n}.example.com"), "/".to_owned()),
    )
}

fn world(make: Make, count: usize) -> (Router<usize>, Vec<Place>) {
    let made: Vec<_> = (0..count).map(make).collect();
    let parse = |text: &str| text.parse::<Destination>().unwrap();
    let destinations = made.iter().enumerate().map(|(n, (text, _))| (parse(text), n));
    let router = Router::new(destinations).unwrap();
    let mut places: Vec<Place> = made.into_iter().map(|(_, place)| place).collect();
    for (n, (host, path)) in places.iter().enumerate() {
        assert_eq!(router.locate(host, path), Some(&n), "{host}{path}");
    }
    // Not in the order in which they were put in.
    for n in 0..places.len() {
        places.swap(n, n.wrapping_mul(7_919) % count);
    }
    (router, places)
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .configure_from_args();
    let mut group = criterion.benchmark_group("locate");
    for count in COUNTS {
        let (router, places) = world(mixed, count);
        let mut round = places.iter().cycle();
        group.bench_function(BenchmarkId::new("mixed", count), |bencher| {
            bencher.iter(|| {
                let (host, path) = round.next().unwrap();
                router.locate(black_box(host), black_box(path))
            });
        });
    }
    group.finish();
    table();
}

fn table() {
    println!("median of one request in nanoseconds, with 10, 100, 1,000 and 10,000 destinations:");
    for (name, make) in KINDS {
        let mut cells = Vec::new();
        for count in COUNTS {
            let (router, places) = world(make, count);
            cells.push(median(&router, &places));
            let allocations = allocation_counter::measure(|| {
                for (host, path) in &places {
                    black_box(router.locate(host, path));
                }
            });
            assert_eq!(allocations.count_total, 0, "locating allocates");
        }
        let ratio = cells[2] / cells[0];
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:8.1}")).collect();
        println!("{name:36} {}   1,000 to 10: {ratio:.2}", cells.join(" "));
    }
    for (name, host) in
        [("a host nobody has", "a.b.example.org"), ("a label nobody has", "zzz.example.com")]
    {
        let cells = COUNTS.map(|count| {
            let (router, _) = world(mixed, count);
            format!("{:8.1}", median(&router, &[(host.to_owned(), "/a/b/c".to_owned())]))
        });
        println!("{name:36} {}", cells.join(" "));
    }
    for count in [10_000, 100_000] {
        let definitions: Vec<Destination> =
            (0..count).map(|n| mixed(n).0.parse().unwrap()).collect();
        let start = Instant::now();
        let router = Router::new(definitions.into_iter().map(|one| (one, ()))).unwrap();
        println!("built from {count} destinations in {:?}", start.elapsed());
        drop(router);
    }
}

fn median(router: &Router<usize>, places: &[Place]) -> f64 {
    const ROUNDS: usize = 20_000;
    let mut samples: Vec<f64> = (0..41)
        .map(|_| {
            let start = Instant::now();
            for (host, path) in places.iter().cycle().take(ROUNDS) {
                black_box(router.locate(black_box(host), black_box(path)));
            }
            start.elapsed().as_secs_f64() * 1e9 / ROUNDS as f64
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
