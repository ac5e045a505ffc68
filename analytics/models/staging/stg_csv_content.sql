-- Content of the CSV file.
select
    content_id,
    nullif(trim(prayer_type), '') as prayer_type
from {{ source('bucket', 'csv_content') }}
