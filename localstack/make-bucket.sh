#!/bin/sh
# LocalStack runs it once it is ready: makes the bucket, with the three CSV files of examples/hallow.
set -eu
awslocal s3api create-bucket --bucket lake
python3 /hallow/generate.py /tmp/hallow
for name in users content sessions; do
    awslocal s3 cp "/tmp/hallow/$name.csv" "s3://lake/csv/$name.csv"
done
