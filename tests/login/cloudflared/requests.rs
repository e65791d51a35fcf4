//! Requests with a token in `Cf-Access-Token`.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message, client::IntoClientRequest};

use super::{WIKI, World};

#[tokio::test]
async fn a_token_in_the_header_opens_and_the_check_says_so() {
    let world = World::with_team().await;
    let client = world.client();
    let org_token = world.session_token("wiki.example.com").await;
    let token = client.exchange(WIKI, &org_token).await.unwrap();
    assert!(client.token_is_good(&format!("{WIKI}/a"), &token).await);
    // The parameter is the application's, as any other.
    let seen = world.origin.last();
    assert_eq!(seen.uri, "/a?cloudflared_token_check=true");
    assert!(!seen.headers.contains_key("cf-access-token"));
    assert_eq!(seen.headers["cf-access-authenticated-user-email"], "ada@example.com");
    for bad in ["x", "", &token[..token.len() - 4], &org_token] {
        assert!(!client.token_is_good(WIKI, bad).await, "{bad}");
    }
    assert!(!client.token_is_good("https://vault.example.com/", &token).await);
}

#[tokio::test]
async fn a_carrier_is_sent_to_the_login_and_comes_back_with_a_token() {
    let world = World::with_team().await;
    let refused = dial(&world, None).await.unwrap_err();
    let Error::Http(answer) = refused else { panic!("{refused}") };
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().unwrap();
    assert!(url::Url::parse(location).unwrap().path().starts_with("/cdn-cgi/access/login"));
    let org_token = world.session_token("wiki.example.com").await;
    let token = world.client().exchange(WIKI, &org_token).await.unwrap();
    assert_eq!(dial(&world, Some(&token)).await.unwrap(), Message::binary(b"\x00raw\xff".to_vec()));
}

/// Sends bytes through a WebSocket and returns what comes back.
async fn dial(world: &World, token: Option<&str>) -> Result<Message, Error> {
    let mut request = "ws://wiki.example.com/socket".into_client_request().unwrap();
    if let Some(token) = token {
        request.headers_mut().insert("cf-access-token", token.parse().unwrap());
    }
    let stream = TcpStream::connect(world.edge).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    socket.send(Message::binary(b"\x00raw\xff".to_vec())).await?;
    socket.next().await.unwrap()
}
