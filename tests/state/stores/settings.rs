//! How a store is let into a Redis server: TLS, users, and what must never be printed.

use std::time::Duration;

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tower_access::store::{RedisPassword, RedisStore, RedisStoreBuilder, Store};

use super::folder::Folder;
use super::promises::told;
use super::server::RedisServer;

const HOUR: Duration = Duration::from_secs(3_600);
const PASSWORD: &str = "correct-horse-battery";

/// An authority, and a server with a certificate of it for `localhost`.
async fn encrypted(more: &[&str]) -> (RedisServer, String) {
    let folder = Folder::new();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.file(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ca_file = write("ca.pem", authority.pem());
    let certificate = write("server.pem", certificate.pem());
    let key = write("server.key", key.serialize_pem());
    let tls = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-auth-clients", "no"];
    let server = RedisServer::start_tls(folder, &[&tls[..], more].concat()).await;
    (server, ca_file)
}

fn at(scheme: &str, host: &str, server: &RedisServer) -> RedisStoreBuilder {
    RedisStore::builder(format!("{scheme}://{host}:{}", server.port()).parse().unwrap())
}

async fn error_of(builder: RedisStoreBuilder) -> String {
    let store = builder.timeout(Duration::from_secs(5)).build().unwrap();
    assert!(!format!("{store:?}").contains(PASSWORD));
    let error = store.put("session/1", Bytes::from("hush-hush"), HOUR).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains(PASSWORD) && !text.contains("hush-hush"), "{text}");
    error.to_string()
}

async fn works(builder: RedisStoreBuilder) {
    let store = builder.timeout(Duration::from_secs(10)).build().unwrap();
    store.put("session/1", Bytes::from("x"), HOUR).await.unwrap();
    assert_eq!(store.take("session/1").await.unwrap(), Some(Bytes::from("x")));
    store.put_member("ended/1", "a", Bytes::from("x"), HOUR).await.unwrap();
    let sum = store.count("attempts/1", 1, HOUR).await.unwrap();
    assert_eq!(store.count("attempts/1", 0, HOUR).await.unwrap(), sum);
    assert_eq!(store.take_member("ended/1", "a").await.unwrap(), Some(Bytes::from("x")));
}

#[tokio::test]
async fn tls_is_spoken_with_whom_the_authority_vouches_for() {
    let (server, ca_file) = encrypted(&["--requirepass", PASSWORD]).await;
    let (_another, other_ca) = encrypted(&[]).await;
    let password = || RedisPassword::new(PASSWORD);
    works(at("rediss", "localhost", &server).password(password()).ca_file(&ca_file)).await;
    // For another name, by another authority, by those of the platform, and without TLS.
    let stranger = at("rediss", "127.0.0.1", &server).password(password()).ca_file(&ca_file);
    assert!(error_of(stranger).await.contains("cannot be reached"));
    let stranger = at("rediss", "localhost", &server).password(password()).ca_file(other_ca);
    assert!(error_of(stranger).await.contains("cannot be reached"));
    // Where the system has no authorities at all, there is no store either.
    if let Ok(store) = at("rediss", "localhost", &server).password(password()).build() {
        assert!(store.get("session/1").await.is_err());
    }
    error_of(at("redis", "localhost", &server).password(password())).await;
}

#[tokio::test]
async fn authorities_that_are_none_are_named() {
    let (folder, (server, ca_file)) = (Folder::new(), encrypted(&[]).await);
    let empty = folder.file("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for (path, words) in
        [(folder.file("missing.pem"), "cannot be read"), (empty, "no CA certificate")]
    {
        let error = at("rediss", "localhost", &server).ca_file(&path).build().unwrap_err();
        let error = error.to_string();
        assert!(error.contains(words) && error.contains(path.to_str().unwrap()), "{error}");
    }
    let error = at("redis", "localhost", &server).ca_file(ca_file).build().unwrap_err().to_string();
    assert!(error.contains("write `rediss://`"), "{error}");
}

#[tokio::test]
async fn a_password_is_asked_for_and_never_told() {
    let server = RedisServer::start(&["--requirepass", PASSWORD]).await;
    works(server.settings().password(RedisPassword::new(PASSWORD))).await;
    works(server.settings().login("default", RedisPassword::new(PASSWORD))).await;
    let builder = server.settings().login("default", RedisPassword::new(PASSWORD));
    assert!(!format!("{builder:?}").contains(PASSWORD));
    for builder in [
        server.settings(),
        server.settings().password(RedisPassword::new("wrong")),
        server.settings().login("nobody", RedisPassword::new(PASSWORD)),
    ] {
        let error = error_of(builder).await;
        assert!(error.contains("password"), "{error}");
    }
}

#[tokio::test]
async fn a_user_needs_the_commands_that_are_named_and_no_others() {
    let server = RedisServer::start(&[]).await;
    let commands = "+get +set +del +getdel +incr +incrby +pexpire +pttl +hget +hset +hdel +hlen \
                    +hgetall +hexists +eval +evalsha +time";
    let user = format!("ACL SETUSER access on >{PASSWORD} ~tower-access:* -@all {commands}");
    assert!(server.tell(&user).await.starts_with("+OK"));
    let builder = || server.settings().login("access", RedisPassword::new(PASSWORD));
    works(builder()).await;
    let store = builder().build().unwrap();
    store.notify("ended").await.unwrap();
    assert_eq!(told(store.notified("ended", 0).await.unwrap()), 1);
    assert!(store.insert("session/2", Bytes::from("x"), HOUR).await.unwrap());
    assert!(store.replace("session/2", b"x", Bytes::from("y"), HOUR).await.unwrap());
    // Keys of others are none of this user's business.
    let error = error_of(builder().prefix("theirs:")).await;
    assert!(error.contains("NOPERM") && error.contains("for its keys"), "{error}");
}

#[tokio::test]
async fn prefixes_and_databases_keep_deployments_apart() {
    let server = RedisServer::start(&[]).await;
    let one = server.settings().prefix("one:").build().unwrap();
    let two = server.settings().prefix("two:").build().unwrap();
    let url = format!("redis://localhost:{}/3", server.port());
    let three = RedisStore::builder(url.parse().unwrap()).prefix("one:").build().unwrap();
    one.put("session/1", Bytes::from("x"), HOUR).await.unwrap();
    one.put_member("ended/1", "a", Bytes::from("x"), HOUR).await.unwrap();
    one.notify("ended").await.unwrap();
    for other in [&two, &three] {
        assert_eq!(other.get("session/1").await.unwrap(), None);
        assert_eq!(other.members("ended/1").await.unwrap(), []);
        other.notify("ended").await.unwrap();
        assert_eq!(told(other.notified("ended", 0).await.unwrap()), 1);
    }
    // Nothing is left without a prefix or without an end, but for the numbers of channels.
    assert!(server.tell("TTL one:v:session/1").await.contains("3600"));
    assert!(server.tell("TTL one:s:ended/1").await.contains("3600"));
    assert!(server.tell("DBSIZE").await.starts_with(":4"));
    for prefix in ["", "ok", "a{b}:"] {
        server.settings().prefix(prefix).build().unwrap();
    }
    for prefix in ["a b", "line\n", "é", &"x".repeat(65)] {
        assert!(server.settings().prefix(prefix).build().is_err());
    }
}

#[tokio::test]
async fn a_node_of_a_cluster_does_every_step_alone() {
    let server = RedisServer::start(&["--cluster-enabled", "yes"]).await;
    assert!(server.tell("CLUSTER ADDSLOTSRANGE 0 16383").await.starts_with("+OK"));
    while !server.tell("CLUSTER INFO").await.contains("cluster_state:ok") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A step that touched keys of different slots would be refused.
    works(server.settings()).await;
    let store = server.store();
    for number in 0..20 {
        let key = format!("session/{number}");
        assert!(store.insert(&key, Bytes::from("x"), HOUR).await.unwrap());
        assert!(store.replace(&key, b"x", Bytes::from("y"), HOUR).await.unwrap());
        store.put_member(&key, "a", Bytes::from("x"), HOUR).await.unwrap();
        assert_eq!(store.members(&key).await.unwrap().len(), 1);
        assert_eq!(store.count(&key, 2, HOUR).await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_server_that_is_full_refuses_and_forgets_nothing() {
    let server = RedisServer::start(&["--maxmemory-policy", "noeviction"]).await;
    let store = server.store();
    store.put("session/1", Bytes::from("x"), HOUR).await.unwrap();
    store.put_member("ended/1", "a", Bytes::from("x"), HOUR).await.unwrap();
    assert!(server.tell("CONFIG SET maxmemory 1").await.starts_with("+OK"));
    let error = store.put("session/2", Bytes::from("x"), HOUR).await.unwrap_err().to_string();
    assert!(error.contains("OOM") && error.contains("maxmemory"), "{error}");
    assert!(store.put_member("ended/1", "b", Bytes::from("x"), HOUR).await.is_err());
    assert!(store.count("attempts/1", 1, HOUR).await.is_err());
    assert_eq!(store.get("session/1").await.unwrap(), Some(Bytes::from("x")));
    assert_eq!(store.members("ended/1").await.unwrap().len(), 1);
    assert_eq!(store.take("session/1").await.unwrap(), Some(Bytes::from("x")));
    assert!(server.tell("CONFIG SET maxmemory 0").await.starts_with("+OK"));
    store.put("session/2", Bytes::from("x"), HOUR).await.unwrap();
}
