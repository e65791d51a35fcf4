//! Writes databases in MaxMind's format: <https://maxmind.github.io/MaxMind-DB/>.

use std::collections::BTreeMap;

use tower_access::address::IpNet;

/// A value of a record.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(&'static str),
    Number16(u16),
    Number32(u32),
    Number64(u64),
    Map(Vec<(&'static str, Self)>),
    List(Vec<Self>),
}

/// What GeoLite2-Country says of a country, and something beside it.
pub(crate) fn country(code: &'static str) -> Value {
    let names = Value::Map(vec![("en", Value::Text("a name"))]);
    let country = vec![("names", names), ("iso_code", Value::Text(code))];
    Value::Map(vec![("continent", Value::Map(Vec::new())), ("country", Value::Map(country))])
}

/// A database of networks, built at a time.
pub(crate) fn database(kind: &'static str, built_at: u64, networks: &[(&str, Value)]) -> Vec<u8> {
    // Each node has two records: a node, or data at an offset.
    let mut nodes = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (network, value) in networks {
        let (bits, length) = bits(network.parse().unwrap());
        let offset = data.len();
        write(&mut data, value);
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[node][side] = Record::Data(offset);
            } else if let Record::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([Record::Nothing; 2]);
                nodes[node][side] = Record::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Nothing => count,
            Record::Node(node) => *node,
            Record::Data(offset) => count + 16 + offset,
        };
        file.extend_from_slice(&u32::try_from(number).unwrap().to_be_bytes()[1..]);
    }
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(&data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    let metadata = Value::Map(vec![
        ("binary_format_major_version", Value::Number16(2)),
        ("binary_format_minor_version", Value::Number16(0)),
        ("build_epoch", Value::Number64(built_at)),
        ("database_type", Value::Text(kind)),
        ("description", Value::Map(vec![("en", Value::Text("made for a test"))])),
        ("ip_version", Value::Number16(6)),
        ("languages", Value::List(vec![Value::Text("en")])),
        ("node_count", Value::Number32(u32::try_from(count).unwrap())),
        ("record_size", Value::Number16(24)),
    ]);
    write(&mut file, &metadata);
    file
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// IPv4 lies at the beginning of IPv6.
fn bits(network: IpNet) -> (u128, u8) {
    match network {
        IpNet::V4(network) => (u128::from(u32::from(network.addr())), network.prefix_len() + 96),
        IpNet::V6(network) => (u128::from(network.addr()), network.prefix_len()),
    }
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => {
            begin(out, 2, text.len());
            out.extend_from_slice(text.as_bytes());
        }
        Value::Number16(number) => {
            begin(out, 5, 2);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Number32(number) => {
            begin(out, 6, 4);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Number64(number) => {
            begin(out, 9, 8);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Map(entries) => {
            begin(out, 7, entries.len());
            let sorted: BTreeMap<_, _> = entries.iter().map(|(key, value)| (key, value)).collect();
            for (key, value) in sorted {
                write(out, &Value::Text(key));
                write(out, value);
            }
        }
        Value::List(entries) => {
            begin(out, 11, entries.len());
            entries.iter().for_each(|entry| write(out, entry));
        }
    }
}

fn begin(out: &mut Vec<u8>, kind: u8, size: usize) {
    let size = u8::try_from(size).unwrap();
    assert!(size < 29, "longer values are written in another way");
    if kind <= 7 {
        out.push(kind << 5 | size);
    } else {
        out.extend_from_slice(&[size, kind - 7]);
    }
}
