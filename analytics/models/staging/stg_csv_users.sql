-- Users of the CSV file, with the group that their age is in.
select
    user_id,
    {{ age_group('try_cast(age as integer)') }} as age_group
from {{ source('bucket', 'csv_users') }}
