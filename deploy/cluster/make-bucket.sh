#!/bin/sh
# LocalStack runs it once it is ready.
set -eu
awslocal s3api create-bucket --bucket lake
