-- Users as the latest complete run of the poll found them, with the group that their age is in.
select
    user_id,
    name,
    email,
    age,
    {{ age_group('age') }} as age_group,
    country,
    subscription,
    try_cast(created_at as timestamptz) as created_at,
    run
from {{ source('lake', 'users') }}
