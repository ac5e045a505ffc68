//! The operations of S3 that lakehook and DuckDB use, over the store.
//!
//! It has only what those two need; `s3s` answers `NotImplemented` to everything else. Whether
//! checksums are compared is a switch of the faults.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use s3s::dto::{
    CommonPrefix, CreateBucketInput, CreateBucketOutput, DeleteObjectInput, DeleteObjectOutput,
    ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, Object as Listed,
    PutObjectInput, PutObjectOutput, StreamingBlob,
};
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};

use super::faults::{Checksums, Faults};
use super::store::{Object, Put, Query, Store};

/// The S3 operations on one store.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) store: Arc<Store>,
    pub(super) faults: Arc<Faults>,
}

impl Service {
    /// The object, or the answer of S3 if there is none.
    fn find(&self, bucket: &str, key: &str) -> S3Result<Object> {
        if !self.store.has_bucket(bucket) {
            return Err(s3_error!(NoSuchBucket));
        }
        let object = self.store.get(bucket, key);
        object.ok_or_else(|| s3_error!(NoSuchKey))
    }
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        if !self.store.create_bucket(&request.input.bucket) {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        if !self.store.has_bucket(&request.input.bucket) {
            return Err(s3_error!(NoSuchBucket));
        }
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let body = Body::from(input.body.unwrap_or_else(|| Body::empty().into()));
        let collected = body.collect().await;
        let bytes = collected.map_err(|_| s3_error!(IncompleteBody))?.to_bytes();
        if input
            .content_length
            .is_some_and(|length| usize::try_from(length) != Ok(bytes.len()))
        {
            return Err(s3_error!(IncompleteBody));
        }
        let object = Object {
            metadata: input.metadata.unwrap_or_default(),
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            ..Object::new(bytes)
        };
        let compares = self.faults.treats_checksums() == Checksums::Compared;
        let crc = object.crc();
        if compares
            && input
                .checksum_crc32c
                .as_ref()
                .is_some_and(|sent| *sent != crc)
        {
            return Err(s3_error!(BadDigest));
        }
        let tag = object.etag();
        let conditional = input.if_none_match == Some(ETagCondition::Any);
        let only_if_absent = conditional && !self.faults.ignores_conditions();
        if let Some(ETagCondition::ETag(wanted)) = &input.if_match {
            let there = self.find(&input.bucket, &input.key)?;
            if wanted.value() != there.etag() {
                return Err(s3_error!(PreconditionFailed));
            }
        }
        match self
            .store
            .put(&input.bucket, &input.key, object, only_if_absent)
        {
            Put::NoBucket => return Err(s3_error!(NoSuchBucket)),
            Put::Exists => {
                self.faults.count_refused();
                return Err(s3_error!(PreconditionFailed));
            }
            Put::Applied { replaced } => self.faults.count_applied(replaced),
        }
        let e_tag = Some(ETag::Strong(tag));
        Ok(S3Response::new(PutObjectOutput {
            e_tag,
            checksum_crc32c: compares.then_some(crc),
            ..PutObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let object = self.find(&request.input.bucket, &request.input.key)?;
        let compares = self.faults.treats_checksums() == Checksums::Compared;
        Ok(S3Response::new(HeadObjectOutput {
            checksum_crc32c: compares.then(|| object.crc()),
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(object.bytes.len())),
            e_tag: Some(ETag::Strong(object.etag())),
            last_modified: Some(object.modified.into()),
            metadata: Some(object.metadata),
            content_type: object.content_type,
            content_encoding: object.content_encoding,
            ..HeadObjectOutput::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let object = self.find(&request.input.bucket, &request.input.key)?;
        let whole = object.bytes.len();
        let (bytes, content_range) = match request.input.range {
            None => (object.bytes.clone(), None),
            Some(range) => {
                let range = range
                    .check(whole as u64)
                    .map_err(|_| s3_error!(InvalidRange))?;
                let (start, end) = (unsigned(range.start), unsigned(range.end));
                let header = format!("bytes {start}-{}/{whole}", end - 1);
                (object.bytes.slice(start..end), Some(header))
            }
        };
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(bytes.len())),
            content_range,
            body: Some(StreamingBlob::from(Body::from(bytes))),
            e_tag: Some(ETag::Strong(object.etag())),
            last_modified: Some(object.modified.into()),
            metadata: Some(object.metadata),
            content_type: object.content_type,
            content_encoding: object.content_encoding,
            ..GetObjectOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let after = input
            .continuation_token
            .clone()
            .or_else(|| input.start_after.clone());
        let max = input.max_keys.unwrap_or(1000).clamp(0, 1000);
        let query = Query {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().unwrap_or_default(),
            after: after.as_deref().unwrap_or_default(),
            max: usize::try_from(max).unwrap_or(0),
        };
        let page = self.store.list(&input.bucket, &query);
        let page = page.ok_or_else(|| s3_error!(NoSuchBucket))?;
        let prefixes = page.prefixes.into_iter();
        let prefixes: Vec<_> = prefixes.map(|p| CommonPrefix { prefix: Some(p) }).collect();
        let contents: Vec<_> = page.objects.into_iter().map(listed).collect();
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(contents.len() + prefixes.len()).ok(),
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next,
            max_keys: Some(max),
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            start_after: input.start_after,
            continuation_token: input.continuation_token,
            ..ListObjectsV2Output::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        // Whether there was one or not: S3 answers 204 to both.
        self.store.delete(&request.input.bucket, &request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }
}

/// An object as a listing shows it.
fn listed((key, object): (String, Object)) -> Listed {
    Listed {
        key: Some(key),
        size: Some(signed(object.bytes.len())),
        e_tag: Some(ETag::Strong(object.etag())),
        last_modified: Some(object.modified.into()),
        ..Listed::default()
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn unsigned(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
