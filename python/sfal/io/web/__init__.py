"""HTTP bodies and S3 listings, fetched within limits of time and space."""
