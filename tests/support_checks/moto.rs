//! moto, by the same client as our own S3 server.

use super::s3::{client, put_if_absent};
use crate::support::moto::Moto;

#[tokio::test]
async fn moto_refuses_a_second_conditional_put() {
    let moto = Moto::start();
    let client = client(&moto.endpoint());
    assert_eq!(put_if_absent(&client, "k", "first").await, 200);
    assert_eq!(put_if_absent(&client, "k", "second").await, 412);
}
