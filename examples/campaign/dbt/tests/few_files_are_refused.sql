-- Up to five in a hundred are usual; with more, a tool writes something else.
SELECT sum(number) AS refused, sum(share_percent) AS share_percent
FROM {{ ref('quality') }} WHERE what IN ('not_json', 'other_structure')
HAVING sum(share_percent) > 5
