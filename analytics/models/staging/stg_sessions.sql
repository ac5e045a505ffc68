-- Sessions of the CSV file: who watched or read what, when and for how long.
select
    session_id,
    user_id,
    content_id,
    try_cast(started_at as timestamptz) as started_at,
    try_cast(duration_seconds as integer) as duration_seconds
from {{ source('bucket', 'csv_sessions') }}
