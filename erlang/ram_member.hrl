%% What ram_member knows.

-record(member, {
    settings :: ram_config:settings(),
    owner :: pid(),                            % makes the library calls that block
    config :: ram_config:config() | undefined, % while the node has no name
    cookie :: binary(),
    network :: pid() | undefined,              % the process that tells of nodes that come
    misnamed :: binary() | undefined,          % the node has another name than its member
    handle :: ram_nif:member() | undefined,    % the member that is open
    cluster :: binary() | undefined,           % of the data, open or not, if known
    storage = disk :: disk | memory,           % of the member
    coordinator :: reference() | undefined,    % monitors the process that makes the cluster
    failure :: term(),                         % why the member is not open, if it should be
    retry :: reference() | undefined,          % the timer for another look at the folder
    work :: {ram_owner:call(), fun()} | undefined,  % under way, and what follows from its result
    queue = [] :: [{gen_statem:from(), term()}],    % requests that wait for it
    unknown_ms :: integer() | undefined        % when a message that is not known was logged last
}).
