"""What transformers computes in eager mode, with all attentions and hidden states."""

import numpy as np
import torch
import transformers


def random_model(class_name, config, seed):
    """Return a model with random weights, larger than usual so that attention is peaked."""
    torch.manual_seed(seed)
    model_class = getattr(transformers, class_name)
    settings = model_class.config_class(**config, attn_implementation="eager")
    model = model_class(settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def run(model, tokens, exists):
    """Return the output, the attentions and the hidden states as arrays."""
    with torch.no_grad():
        result = model(
            torch.from_numpy(tokens).long(),
            attention_mask=torch.from_numpy(exists).long(),
            output_attentions=True,
            output_hidden_states=True,
        )
    return {
        "output": result[0].numpy(),
        "attentions": np.stack([a.numpy() for a in result.attentions]),
        "hidden_states": np.stack([h.numpy() for h in result.hidden_states]),
    }
