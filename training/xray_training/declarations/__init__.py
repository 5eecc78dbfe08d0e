"""Made-up declarations of travellers for annotated scans, with what an assessment has to say of them."""
