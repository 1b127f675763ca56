mod change; mod quantile; mod role;
