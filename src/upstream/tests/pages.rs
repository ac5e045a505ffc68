//! What is pulled: users, content, pages of events with their faults; and the way the server ends.

use super::*;
use crate::upstream::api::Fault;
use crate::upstream::chance::Chance;

#[tokio::test]
async fn paging_yields_every_user_once() {
    let served = Served::new(Options::default()).await;
    let (mut users, mut offset, mut pages) = (Vec::new(), 0, 0);
    while offset >= 0 {
        let path = format!("/api/users?offset={offset}&limit=500");
        let (status, page) = served.get(&path).await;
        assert_eq!((status, &page["total_users"]), (200, &10_000.into()));
        users.extend_from_slice(page["users"].as_array().unwrap());
        pages += 1;
        offset = page["next_offset"].as_i64().unwrap();
        assert_eq!(page["has_more"], users.len() < 10_000);
        assert!(offset == -1 || offset == i64::try_from(users.len()).unwrap());
    }
    assert_eq!((users.len(), pages), (10_000, 50));
    assert_eq!(distinct(&users, "user_id").len(), 10_000);
    for user in &users {
        assert!((18..=90).contains(&user["age"].as_i64().unwrap()));
        assert!(user["email"].as_str().unwrap().ends_with("@example.com"));
        assert!(user["interests"].is_array() && user["country"].is_string());
        assert!(user["subscription"].is_string() && user["name"].is_string());
        let created_at = user["created_at"].as_str().unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(created_at).is_ok());
    }
    served.end().await;
}

#[tokio::test]
async fn pages_have_a_default_an_end_and_rules() {
    let served = Served::new(Options::default()).await;
    let (_, page) = served.get("/api/users").await;
    assert_eq!(page["users"].as_array().unwrap().len(), 100);
    assert_eq!(page["next_offset"], 100);
    let (status, page) = served.get("/api/users?offset=10000").await;
    assert_eq!((status, &page["next_offset"]), (200, &(-1).into()));
    assert_eq!(page["users"].as_array().unwrap().len(), 0);
    assert_eq!(page["has_more"], false);
    for bad in ["offset=-1", "offset=x", "limit=0", "limit=1.5"] {
        let (status, problem) = served.get(&format!("/api/users?{bad}")).await;
        assert_eq!(status, 400, "{bad}");
        assert!(problem["error"].is_string());
    }
    assert_eq!(served.get("/api/nothing").await.0, 404);
    assert_eq!(served.post("/api/users").await.0, 405);
    served.end().await;
}

#[tokio::test]
async fn content_comes_as_a_whole() {
    let served = Served::new(Options::default()).await;
    let (status, all) = served.get("/api/content").await;
    let items = all["content"].as_array().unwrap();
    assert_eq!((status, items.len()), (200, 1000));
    assert_eq!(all["total_content"], 1000);
    assert_eq!(distinct(items, "content_id").len(), 1000);
    assert_eq!(distinct(items, "media_type").len(), 3);
    assert_eq!(distinct(items, "prayer_type").len(), 6);
    let again = Served::new(Options::default()).await;
    assert_eq!(again.get("/api/content").await.1, all);
    again.end().await;
    served.end().await;
}

#[tokio::test]
async fn a_tenth_of_event_pages_is_unavailable() {
    let options = Options {
        late_by: Duration::ZERO,
        ..Options::default()
    };
    let served = Served::new(options).await;
    let client = client();
    let mut unavailable = 0;
    for _ in 0..400 {
        let request = client.get(format!("{}/api/events?limit=3", served.base));
        match read(request).await {
            (200, page) => assert_eq!(page["events"].as_array().unwrap().len(), 3),
            (status, _) => {
                assert_eq!(status, 503);
                unavailable += 1;
            }
        }
    }
    assert!((20..=60).contains(&unavailable), "{unavailable} of 400");
    served.end().await;
}

#[test]
fn faults_come_in_their_shares() {
    let (options, chance) = (Options::default(), Chance::from_seed(3));
    let drawn: Vec<Fault> = (0..10_000)
        .map(|_| Fault::draw(&options, &chance))
        .collect();
    let count = |fault| drawn.iter().filter(|&&f| f == fault).count();
    assert!((900..=1100).contains(&count(Fault::Unavailable)));
    assert!((400..=600).contains(&count(Fault::Late)));
}

#[tokio::test]
async fn a_late_page_is_late() {
    let options = Options {
        unavailable: 0.0,
        late: 1.0,
        late_by: Duration::from_millis(300),
        ..Options::default()
    };
    let served = Served::new(options).await;
    let clock = Clock::system();
    assert_eq!(served.get("/api/events").await.0, 200);
    assert!(clock.now().mono >= Duration::from_millis(300));
    served.end().await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_a_late_page() {
    let options = Options {
        unavailable: 0.0,
        late: 1.0,
        late_by: Duration::from_hours(1),
        ..Options::default()
    };
    let served = Served::new(options).await;
    let page = client().get(format!("{}/api/events", served.base));
    let reader = tokio::spawn(async move { read(page).await.0 });
    // Long enough for the request to arrive; if it has not, the reader fails below.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let soon = Duration::from_secs(2);
    tokio::time::timeout(soon, served.end()).await.unwrap();
    let status = tokio::time::timeout(Duration::from_secs(5), reader).await;
    assert_eq!(status.unwrap().unwrap(), 200);
}

#[tokio::test]
async fn a_connection_that_hangs_does_not_keep_the_server_up() {
    let served = Served::new(Options::default()).await;
    let address = served.base.trim_start_matches("http://").to_owned();
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let half_a_request = b"GET /health HTTP/1.1\r\nHost: x\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut connection, half_a_request)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::timeout(Duration::from_secs(8), served.end())
        .await
        .unwrap();
}
