-- Content as the latest complete run of the poll found it.
select
    content_id,
    title,
    media_type,
    prayer_type,
    run
from {{ source('lake', 'content') }}
