-- Events as they happened: their own day, and what analyses ask for by name.
select
    event_id,
    user_id,
    "user" is not null as has_user_object,
    event_type,
    source,
    "timestamp" as happened_at,
    received_at,
    dt,
    lsn,
    p_content_id as content_id,
    p_prayer_type as prayer_type,
    p_media_type as media_type,
    p_product_id as product_id,
    p_amount as amount,
    properties
from {{ source('lake', 'events') }}
