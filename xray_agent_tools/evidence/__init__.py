"""What the pixels themselves say: place, material, occlusion, opacity, quality."""
