//! The limits of a connection's stream, over a pipe in memory and in real time.
#![allow(clippy::unwrap_used, reason = "tests may fail")]

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

const SHORT: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_mins(1);

fn timed(header: Duration, idle: Duration) -> (Timed<DuplexStream>, DuplexStream, Arc<Requests>) {
    let (ours, theirs) = duplex(1 << 20);
    let requests = Arc::new(Requests::default());
    let refuse = Arc::new(|status: u16, date: &str| format!("{status} {date}").into_bytes());
    let timed = Timed::new(ours, Arc::clone(&requests), header, idle, refuse);
    (timed, theirs, requests)
}

#[tokio::test]
async fn a_head_has_its_time_from_its_first_byte_on() {
    let (mut timed, mut client, _requests) = timed(SHORT, LONG);
    let start = Instant::now();
    let trickle = tokio::spawn(async move {
        tokio::time::sleep(SHORT * 2).await;
        while client.write_all(b"G").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    });
    let error = timed.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(start.elapsed() >= SHORT * 3, "{:?}", start.elapsed());
    drop(timed);
    trickle.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_lives_longer_and_ends_in_peace() {
    let (mut timed, _client, _requests) = timed(SHORT / 6, SHORT);
    let start = Instant::now();
    assert_eq!(timed.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(start.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_request_under_way_is_not_limited_and_the_next_has_all_its_time() {
    let (mut timed, mut client, requests) = timed(SHORT, SHORT);
    client.write_all(b"head").await.unwrap();
    assert_eq!(timed.read(&mut [0; 8]).await.unwrap(), 4);
    let under_way = requests.begin();
    let body = tokio::time::timeout(SHORT * 3, timed.read(&mut [0; 8])).await;
    assert!(body.is_err(), "a request under way was cut off");
    drop(under_way);
    let start = Instant::now();
    assert_eq!(timed.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(start.elapsed() >= SHORT);
}

/// Each request postpones the deadline, but the timer that was set first fires before it.
#[tokio::test]
async fn an_end_that_was_put_off_comes_when_it_is_due() {
    let idle = SHORT * 16;
    let (mut timed, mut client, requests) = timed(LONG, idle);
    for _ in 0..3 {
        let read = tokio::time::timeout(idle * 2 / 5, timed.read(&mut [0; 8])).await;
        assert!(read.is_err(), "the connection ended too early");
        client.write_all(b"head").await.unwrap();
        assert_eq!(timed.read(&mut [0; 8]).await.unwrap(), 4);
        drop(requests.begin());
    }
    let start = Instant::now();
    assert_eq!(timed.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(start.elapsed() >= idle, "{:?}", start.elapsed());
}

#[tokio::test]
async fn what_a_refused_sender_still_sends_is_read() {
    let (mut timed, mut client, requests) = timed(LONG, LONG);
    requests.begin().answered(true);
    let sending = tokio::spawn(async move {
        for _ in 0..20 {
            client.write_all(&vec![0; 256 << 10]).await.unwrap();
        }
    });
    timed.shutdown().await.unwrap();
    sending.await.unwrap();
}

#[tokio::test]
async fn a_silent_sender_does_not_hold_up_the_end() {
    let (mut timed, _client, requests) = timed(LONG, LONG);
    let start = Instant::now();
    timed.shutdown().await.unwrap();
    assert!(start.elapsed() < LINGER_SILENCE);
    requests.begin().answered(true);
    timed.shutdown().await.unwrap();
    assert!(start.elapsed() < LINGER);
}

#[tokio::test]
async fn an_answer_that_is_not_taken_ends_the_connection() {
    let (ours, mut client) = duplex(1000);
    let refuse = Arc::new(|_: u16, _: &str| Vec::new());
    let mut timed = Timed::new(ours, Arc::default(), LONG, SHORT * 2, refuse);
    // A client that reads an answer slowly but in time has the whole time again for the next one.
    for _ in 0..3 {
        let taken = tokio::spawn(async move {
            tokio::time::sleep(SHORT).await;
            client.read_exact(&mut [0; 3000]).await.unwrap();
            client
        });
        timed.write_all(&[0; 3000]).await.unwrap();
        timed.flush().await.unwrap();
        client = taken.await.unwrap();
    }
    // A client that reads one byte at a time would take for ever.
    let trickle = tokio::spawn(async move {
        while client.read(&mut [0; 1]).await.is_ok_and(|read| read > 0) {
            tokio::time::sleep(SHORT / 10).await;
        }
    });
    let start = Instant::now();
    let error = timed.write_all(&[0; 3000]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(start.elapsed() >= SHORT * 2, "{:?}", start.elapsed());
    trickle.abort();
}

#[tokio::test]
async fn what_hyper_answers_by_itself_is_replaced() {
    const BARE: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\
                        date: Sun, 29 Nov 2026 13:48:08 GMT\r\n\r\n";
    const INSTEAD: &str = "431 Sun, 29 Nov 2026 13:48:08 GMT";
    const OWN: &str = "HTTP/1.1 200 OK\r\nx-request-id: a\r\ncontent-length: 0\r\n\
                       date: Sun, 29 Nov 2026 13:48:08 GMT\r\n\r\n";
    let own_refusal = BARE.replace("connection", "x-request-id: a\r\nconnection");
    for (written, expected) in [
        (vec![BARE], INSTEAD.to_owned()),
        (vec![OWN], OWN.to_owned()),
        (vec![OWN, OWN, BARE], [OWN, OWN, INSTEAD].concat()),
        (vec![&own_refusal], own_refusal.clone()),
        (
            vec![OWN, "a body that ends so GMT\r\n\r\n"],
            OWN.to_owned() + "a body that ends so GMT\r\n\r\n",
        ),
    ] {
        for is_vectored in [false, true] {
            let (mut timed, mut client, _requests) = timed(LONG, LONG);
            let all = written.concat();
            if is_vectored {
                let slices: Vec<io::IoSlice<'_>> = written
                    .iter()
                    .map(|part| io::IoSlice::new(part.as_bytes()))
                    .collect();
                assert_eq!(timed.write_vectored(&slices).await.unwrap(), all.len());
            } else {
                timed.write_all(all.as_bytes()).await.unwrap();
            }
            drop(timed);
            let mut read = String::new();
            client.read_to_string(&mut read).await.unwrap();
            assert_eq!(read, expected);
        }
    }
}
