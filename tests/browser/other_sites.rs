//! What pages of another site can make a browser do: nothing.

use crate::world::{ADA, BOARD, EVIL, Received, TEAM, WIKI, World, page_at};

fn evil_form(to: &str, fields: &[(&str, &str)]) -> String {
    let fields = fields.iter().copied();
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("to", to)
        .extend_pairs(fields)
        .finish();
    format!("{EVIL}/post?{query}")
}

fn evil_page(html: &str) -> String {
    page_at(EVIL, html)
}

const REFUSED: &str = "This form was sent by another site";

#[tokio::test]
async fn forms_of_another_site_are_refused() {
    let world = World::start().await;
    let browser = &world.browser;
    world.ask_for_code(&format!("{WIKI}/"), ADA).await;
    let code_page = browser.url().await;
    let nonce = url::Url::parse(&code_page).unwrap();
    let nonce = nonce.query_pairs().find(|(name, _)| name == "nonce").unwrap().1.into_owned();
    let code = world.mail.wait_for(1).await.code();
    let fields = [("nonce", nonce.as_str()), ("code", code.as_str())];
    browser.open(&evil_form(&format!("{TEAM}/cdn-cgi/access/callback"), &fields)).await;
    browser.wait_for(REFUSED).await;
    browser.open(&evil_form(&code_page, &[("email", "eve@example.com")])).await;
    browser.wait_for(REFUSED).await;
    // None of this has used up the code.
    browser.open(&code_page).await;
    world.enter_code(&code).await;
    browser.wait_for("The origin").await;
    for site in [WIKI, TEAM] {
        browser.open(&evil_form(&format!("{site}/cdn-cgi/access/logout"), &[])).await;
        browser.wait_for(REFUSED).await;
    }
    world.assert_open(&format!("{WIKI}/still")).await;
    world.assert_open(&format!("{BOARD}/still")).await;
    assert_eq!(world.mail.all().len(), 1);
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn images_frames_and_scripts_of_another_site_log_nobody_out() {
    let world = World::start().await;
    let browser = &world.browser;
    world.log_in(&format!("{WIKI}/")).await;
    let mut html = format!("<img src='{WIKI}/pixel'>");
    for site in [WIKI, TEAM] {
        let logout = format!("{site}/cdn-cgi/access/logout");
        html += &format!(
            "<img src='{logout}'><iframe src='{logout}'></iframe><link rel=stylesheet href='{logout}'>\
             <script src='{logout}'></script>\
             <script>fetch('{logout}', {{ mode: 'no-cors', credentials: 'include' }})</script>\
             <script>fetch('{logout}', {{ mode: 'no-cors', credentials: 'include', method: 'POST' }})</script>"
        );
    }
    html += "<script>addEventListener('load', () => document.body.append('all loaded'))</script>";
    browser.open(&evil_page(&html)).await;
    browser.wait_for("all loaded").await;
    // The browser does send the cookies along: it is not what protects.
    let is_pixel =
        |it: &Received| it.path_and_query == "/pixel" && it.email.as_deref() == Some(ADA);
    assert!(world.origin.received().iter().any(is_pixel), "{:?}", world.origin.received());
    let framed = browser.complaints().await;
    assert!(framed.iter().any(|line| line.contains("frame-ancestors")), "{framed:#?}");
    world.assert_open(&format!("{WIKI}/still")).await;
    world.assert_open(&format!("{BOARD}/still")).await;
}

#[tokio::test]
async fn a_link_of_another_site_asks_before_it_logs_out() {
    let world = World::start().await;
    let browser = &world.browser;
    world.log_in(&format!("{WIKI}/")).await;
    let link = format!("<a href='{WIKI}/cdn-cgi/access/logout'>free sweets</a>");
    browser.open(&evil_page(&link)).await;
    browser.click("free sweets").await;
    browser.wait_for("Log out?").await;
    world.assert_open(&format!("{WIKI}/still")).await;
    browser.open(&evil_page(&link)).await;
    browser.click("free sweets").await;
    browser.wait_for("Log out?").await;
    browser.click("Log out").await;
    browser.wait_for("You are logged out").await;
    world.assert_closed(&format!("{WIKI}/")).await;
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn flow_12_what_a_browser_fetches_on_its_own_begins_no_login() {
    let world = World::start().await;
    let browser = &world.browser;
    let html = format!(
        "<img src='{WIKI}/image'><link rel=prefetch href='{WIKI}/prefetched'>\
         <link rel=stylesheet href='{WIKI}/style'><script src='{WIKI}/script'></script>\
         <video src='{WIKI}/video' preload></video><link rel=icon href='{WIKI}/icon'>\
         <script type=speculationrules>{{\"prefetch\":[{{\"urls\":[\"{WIKI}/ahead\"]}}]}}</script>\
         <script>addEventListener('load', () => setInterval(() => {{\
           const names = performance.getEntriesByType('resource').map(it => it.name).join();\
           if (['image', 'prefetched', 'style', 'script'].every(it => names.includes(it)))\
             document.body.append('all fetched ')\
         }}, 50))</script>"
    );
    browser.open(&evil_page(&html)).await;
    browser.wait_for("all fetched").await;
    assert_eq!(browser.all_cookies().await, Vec::<String>::new());
    // The visit that follows does.
    world.assert_closed(&format!("{WIKI}/prefetched")).await;
    assert_ne!(browser.all_cookies().await, Vec::<String>::new());
    world.log_in(&format!("{WIKI}/prefetched")).await;
    assert_eq!(browser.url().await, format!("{WIKI}/prefetched"));
}
