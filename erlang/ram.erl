%% @doc A consistent, distributed ETS table.
%%
%% Every node of a cluster holds all the data in memory. Writes go through Raft: when {@link put/2}
%% returns, a majority of the nodes has the change on disk. Reads are linearizable: {@link get/1} on
%% any node shows what was acknowledged on any other before it was called.
%%
%% Keys and values are any term; keys are equal when they are `=:=' (1 and 1.0 are two keys). A key
%% must not hold a local fun. `undefined' is a value like any other; {@link fetch/1} tells it from a
%% key that is absent.
%%
%% == Errors ==
%% Operations on keys return plain values and raise what the system could not do:
%% <ul>
%% <li>`noproc': this node runs no member of a cluster. Nothing happened.</li>
%% <li>`{timeout, {ram, Node}}': no answer came within `call_timeout_ms' (5000 by default), or the
%%     member stopped before it came. A write may have happened, or may still happen; a read did
%%     nothing.</li>
%% <li>`{overloaded, {ram, Node}}': too much is waiting on this node. Nothing happened.</li>
%% <li>`{value_too_large, Bytes, BytesMax}', `{key_too_large, BytesMax}' and
%%     `{batch_too_large, BytesMax}': see the limits in the configuration. Nothing happened.</li>
%% <li>`{unreadable_value, Key}': the OTP of this node has no term for the value: a node with a
%%     newer one put it, as a native record (OTP 29) or another kind of term that came later. The
%%     value stays as it is, and nodes that know such terms read it. Nothing happened.</li>
%% <li>`badarg': a wrong argument, with an explanation.</li>
%% </ul>
%% {@link outcome/1} tells of a reason whether the write may have happened.
%%
%% Operations on the cluster return `ok' or `{error, Reason}'; the reasons are those of
%% `ram_error:cluster_error()'. On a node that runs no member they raise `noproc', except
%% {@link start_cluster/1}, {@link stop_cluster/1} and {@link status/0}, which may be called
%% anywhere.
%%
%% == Example ==
%% ```
%% 1> ram:start_cluster([node()]).
%% ok
%% 2> ram:put(key, #{any => "term"}).
%% ok
%% 3> ram:get(key).
%% #{any => "term"}
%% '''
-module(ram).

-export([start/0, stop/0]).
-export([start_cluster/1, start_cluster/2, stop_cluster/1, restart_server/0]).
-export([add_node/1, remove_node/1, replace_node/2, nodes/0, force_recover/1]).
-export([get/1, get/2, get/3, fetch/1, fetch/2]).
-export([put/2, put_many/1, update/3, delete/1, delete_many/1]).
-export([outcome/1]).
-export([backup/1, restore/1]).
-export([leader/0, status/0]).
-export_type([reads/0, read_options/0, read_status/0, lease_absence/0]).

-compile({no_auto_import, [get/1, put/2, nodes/0]}).

%% Who may answer a read: see fetch/2.
-type reads() :: lease | quorum | local.
-type read_options() :: #{reads => reads()}.
%% How reads were answered here since the member started, and whether it holds a read lease now: see
%% status/0.
-type read_status() :: #{local := non_neg_integer(), waited := non_neg_integer(),
                         quorum := non_neg_integer(),
                         lease := held | {absent, lease_absence()}}.
-type lease_absence() ::
        not_asked    % the setting `reads' is not `lease'; or the member has just started
      | no_leader    % none is known here
      | no_answer    % the leader did not answer in time
      | other_vote   % another leader is, or may be, elected
      | snapshot     % this node was so far behind that it was sent a snapshot
      | ran_out      % it was not renewed in time
      | {refused,    % by the leader:
           not_leading     % it leads no more
         | unconfirmed     % no majority has confirmed it lately
         | lagging         % this node is behind, or was lately: writes would wait for it
         | changing        % a member is added or removed
         | handing_over}.  % the lead is handed over

%% @doc Starts the application `ram' and what it needs.
%%
%% A node whose data folder holds a cluster serves it again. Usually `ram' is in the `applications'
%% of your own and this call is not needed. Raises when the configuration is wrong, with a reason
%% that names the key.
-spec start() -> ok.
start() ->
    case application:ensure_all_started(ram) of
        {ok, _Started} -> ok;
        {error, Reason} -> error(Reason)
    end.

%% @doc Stops the application `ram' on this node; the data stays.
%%
%% A leader hands its lead over first.
-spec stop() -> ok | {error, Reason :: term()}.
stop() ->
    application:stop(ram).

%% @doc Finds the cluster of these nodes, or makes it, starting the application on them as needed.
%%
%% An application may call it at every start, on every node, in any order:
%%
%% ```
%% start(_Type, _Arguments) ->
%%     {ok, Nodes} = application:get_env(my_app, nodes),
%%     case ram:start_cluster(Nodes) of
%%         ok -> my_sup:start_link();
%%         {error, {running_on, Serving, Reason}} ->
%%             %% Another member needs a hand.
%%             logger:warning("ram: ~tp", [Reason]),
%%             true = lists:member(node(), Serving),
%%             my_sup:start_link();
%%         {error, Reason} -> {error, Reason}
%%     end.
%% '''
%%
%% <ul>
%% <li>On a node that serves it answers `ok' when there is a majority and the members that can be
%%     reached have caught up (one that does not within half a minute is named by
%%     `{running_on, Serving, Reason}'): also when other members are down, and when the list is
%%     older than an add_node/1 or a remove_node/1. Nodes of the list that are no members are left
%%     as they are, and named in the log.</li>
%% <li>While no node of the list has a cluster, those that cannot be reached over Erlang
%%     distribution are waited for, and told of in the log: for 30 s, unless the option `wait_ms' of
%%     {@link start_cluster/2} says otherwise; then it is `{error, {unreachable, Nodes}}'. When all
%%     have come and none has a cluster it is made; it answers when every node serves.</li>
%% <li>A member that lost its data (storage `memory', or a disk that was wiped) is made a member
%%     anew. One that was removed is not: `{error, {already_clustered, Nodes}}' names those that
%%     have the cluster, and add_node/1 on one of them takes it in. The same is the answer, and
%%     nothing is changed, when nodes of the list have different clusters.</li>
%% <li>Nodes that do not reach each other over ram's own connections are named within ten seconds,
%%     with the address and the cause: `{error, {not_reached, Node, Address, Cause}}'. Each node is
%%     as it was before the call then.</li>
%% <li>When the data folder of a node cannot be read it is not touched, and the answer says what to
%%     do: `{error, {failed, Node, Reason}}'. While the others serve it is
%%     `{error, {running_on, Others, Reason}}'. A node whose data came late, on a volume that was
%%     mounted meanwhile, serves them.</li>
%% </ul>
%% An empty list, or anything that is not a list of nodes, raises `badarg'.
-spec start_cluster([node()]) -> ok | {error, ram_error:cluster_error()}.
start_cluster(Nodes) ->
    start_cluster(Nodes, #{}).

%% @doc As {@link start_cluster/1}, with options.
%%
%% `storage': `disk' or `memory', for all of the nodes. Without it the setting of the first node
%% counts, which is `disk' unless it says otherwise. A node that is set to another storage is an
%% error: `{error, {storage_mismatch, Node, Set, Asked}}'.
%%
%% Neither changes a cluster that is there: asked for with the other storage it is the same error.
%%
%% `wait_ms': for how long, in milliseconds, nodes that cannot be reached, or a majority, are waited
%% for; 0 to be told at once, 30000 by default.
%%
%% When a majority lost its data there is no cluster any more: `{error, {majority_lost, Nodes}}'.
-spec start_cluster([node()], #{storage => disk | memory, wait_ms => non_neg_integer()}) ->
          ok | {error, ram_error:cluster_error()}.
start_cluster(Nodes, Options) when is_map(Options) ->
    Checked = maps:fold(fun(Key, Value, Set) ->
                                case start_option(Key, Value) of
                                    ok -> Set#{Key => Value};
                                    Why -> ram_error:badarg([Nodes, Options], 2, Why)
                                end
                        end, #{storage => any, wait_ms => 30000}, Options),
    ram_bootstrap:start(checked_nodes(Nodes), Checked);
start_cluster(Nodes, Options) ->
    ram_error:badarg([Nodes, Options], 2, "must be a map of options").

start_option(storage, Storage) when Storage =:= disk; Storage =:= memory -> ok;
start_option(storage, _) -> "storage must be disk or memory";
start_option(wait_ms, Ms) when is_integer(Ms), Ms >= 0, Ms =< 604800000 -> ok;
start_option(wait_ms, _) -> "wait_ms must be an integer of 0 to 604800000";
start_option(Key, _) -> io_lib:format("must hold known options only, not ~tp", [Key]).

%% @doc Stops the members on these nodes and deletes their data: ram's own files, under the lock of
%% the folder, and nothing else.
%%
%% `{error, {unreachable, Nodes}}' names the nodes that could not be asked, and
%% `{error, {not_erased, Node, Text}}' the file that could not be deleted. What could be deleted is,
%% and the rest is at the next start of the application there.
-spec stop_cluster([node()]) -> ok | {error, ram_error:cluster_error()}.
stop_cluster(Nodes) ->
    ram_cluster:stop(checked_nodes(Nodes)).

%% @doc Makes a node a member of the cluster of this node.
%%
%% Returns when it is a full member that has caught up. For a member that was stopped it returns
%% when that member serves again. A node that lost its data comes back as a new member. Waits up to
%% ten minutes for the node to catch up.
-spec add_node(node()) -> ok | {error, ram_error:cluster_error()}.
add_node(Node) when is_atom(Node) ->
    ram_membership:add(Node);
add_node(Other) ->
    ram_error:badarg([Other], 1, "must be a node name").

%% @doc Takes a node out of the cluster and deletes its data there.
%%
%% `{error, {not_erased, Node, Text}}': it is a member no more, and the file that `Text' names could
%% not be deleted; the next start of the application there tries again.
%%
%% A node that is down is removed all the same; when it comes back its peers tell it, and when a
%% majority of those that it knew confirms that, it keeps its data aside and serves no more. The
%% leader may be removed, also by itself; the last member may not.
-spec remove_node(node()) -> ok | {error, ram_error:cluster_error()}.
remove_node(Node) when is_atom(Node) ->
    ram_membership:remove(Node);
remove_node(Other) ->
    ram_error:badarg([Other], 1, "must be a node name").

%% @doc Takes `New' in and `Dead' out.
-spec replace_node(Dead :: node(), New :: node()) -> ok | {error, ram_error:cluster_error()}.
replace_node(Dead, New) when is_atom(Dead), is_atom(New), Dead =/= New ->
    ram_membership:replace(Dead, New);
replace_node(Dead, New) ->
    ram_error:badarg([Dead, New], 2, "must be two different node names").

%% @doc The way out when a majority of the members is lost for good.
%%
%% Of the survivors the one whose log goes farthest keeps its data, as the first member of a new
%% cluster; the others lose theirs and join it afresh. Call it on any node that reaches them. The
%% option `confirm' is the id of the cluster as `ram:status()' tells it (`cluster'), so that it is
%% not done by accident; with another id nothing is changed.
%%
%% What may be lost: changes that were acknowledged while none of the survivors had them. What may
%% appear: changes whose callers were told `timeout'. Members that were not named must never come
%% back: they hold another cluster now, and are refused as strangers. The answer names the node
%% whose data was `kept', its `last_log_index', the id of the new `cluster', and the members that
%% were `given_up': what only they had is lost.
-spec force_recover(#{survivors := [node()], confirm := binary()}) ->
          {ok, #{kept := node(), last_log_index := non_neg_integer(), cluster := binary(),
                 given_up := [node()]}}
        | {error, ram_error:cluster_error()}.
force_recover(#{survivors := Survivors, confirm := Cluster} = Options)
  when map_size(Options) =:= 2, is_binary(Cluster) ->
    ram_cluster:recover(checked_nodes(Survivors), Cluster);
force_recover(Options) ->
    ram_error:badarg([Options], 1, "must be #{survivors => [Node], confirm => ClusterId}").

%% @doc The members of the cluster, as this node knows them, sorted.
-spec nodes() -> [node()].
nodes() ->
    ram_cluster:nodes().

%% @doc Starts the member of this node again after it failed or was stopped.
%%
%% `ok' when it is running already; `{error, noproc}' when this node holds no data of a cluster.
-spec restart_server() -> ok | {error, Reason :: term()}.
restart_server() ->
    ok = start(),
    ram_node:restart().

%% @equiv get(Key, undefined)
-spec get(Key :: term()) -> Value :: term() | undefined.
get(Key) ->
    get(Key, undefined).

%% @doc The value of a key, or `Default' when the key is absent.
-spec get(Key :: term(), Default) -> Value :: term() | Default.
get(Key, Default) ->
    ram_request:get(Key, Default).

%% @doc As get/2, with options: see fetch/2.
-spec get(Key :: term(), Default, read_options()) -> Value :: term() | Default.
get(Key, Default, Options) ->
    ram_request:get(Key, Default, Options, [Key, Default, Options]).

%% @doc The value of a key, or `error' when the key is absent.
-spec fetch(Key :: term()) -> {ok, Value :: term()} | error.
fetch(Key) ->
    ram_request:fetch(Key).

%% @doc As fetch/1, with options.
%%
%% `reads' says who may answer; without it, it is as the application environment says (`reads', by
%% default `lease').
%% <ul>
%% <li>`lease': linearizable: what was acknowledged anywhere before the call is seen. The asked node
%% answers in the call, at the price of an ETS lookup, as long as the leader's lease lets it; a key
%% that is being written is waited for; and without a lease it is as `quorum'. {@link status/0}
%% counts all three. It holds while the clock of each machine goes within 1 % of true time; a
%% virtual machine that was suspended unknown to its own clock may answer what is old once:
%% who fears that takes `quorum'. Nodes whose setting is not `lease' never have one.</li>
%% <li>`quorum': linearizable, whatever clocks do. It takes a round of messages with a majority,
%% which all reads share that wait at that time, and raises `timeout' without a majority.</li>
%% <li>`local': what the asked node has, at once, at the price of an ETS lookup and without a
%% majority too. It may be old: by moments, or by as long as this node is cut off. Of one key it
%% never goes back in time on one node, restarts of the node apart.</li>
%% </ul>
%%
%% ```
%% 1> ram:fetch(config, #{reads => local}).
%% {ok,#{colour => blue}}
%% 2> ram:get(nothing, none, #{reads => local}).
%% none
%% '''
-spec fetch(Key :: term(), read_options()) -> {ok, Value :: term()} | error.
fetch(Key, Options) ->
    ram_request:fetch(Key, Options, [Key, Options]).

%% @doc Sets the value of a key.
-spec put(Key :: term(), Value :: term()) -> ok.
put(Key, Value) ->
    ram_request:put(Key, Value).

%% @doc Sets a key to `Fun(Value)' atomically; an absent key to `Default', without calling `Fun'.
%%
%% `Fun' runs in the calling process, and again when another node changed the key meanwhile, so it
%% should have no side effects. It must not update the same key. What its last run raises is raised
%% here, and nothing is changed then.
%%
%% ```
%% 1> ram:update(hits, 1, fun(N) -> N + 1 end).
%% ok
%% '''
-spec update(Key :: term(), Default :: term(), fun((Value :: term()) -> term())) -> ok.
update(Key, Default, Fun) when is_function(Fun, 1) ->
    ram_request:update(Key, Default, Fun);
update(Key, Default, Fun) ->
    ram_error:badarg([Key, Default, Fun], 3, "must be a fun of one argument").

%% @doc Deletes a key; one that is absent is no error.
-spec delete(Key :: term()) -> ok.
delete(Key) ->
    ram_request:delete(Key).

%% @doc Sets several keys at once: all or none, and nobody sees some of them set and others not yet.
%%
%% All travel in one log entry, so this costs about as much as one put. Of a key that comes twice
%% the last value stays. All together they may have as many bytes as the largest key and value (the
%% settings `key_bytes_max' and `value_bytes_max'); a longer list raises
%% `{batch_too_large, BytesMax}' and nothing is changed.
%%
%% ```
%% 1> ram:put_many([{{user, 1}, ada}, {{user, 2}, bob}]).
%% ok
%% '''
-spec put_many([{Key :: term(), Value :: term()}]) -> ok.
put_many(Entries) ->
    case is_list_of(fun is_pair/1, Entries) of
        true -> ram_request:put_many(Entries);
        false -> ram_error:badarg([Entries], 1, "must be a list of {Key, Value}")
    end.

%% @doc Deletes several keys at once, as put_many/1 sets them; those that are absent are no error.
-spec delete_many([Key :: term()]) -> ok.
delete_many(Keys) ->
    case is_list_of(fun(_Key) -> true end, Keys) of
        true -> ram_request:delete_many(Keys);
        false -> ram_error:badarg([Keys], 1, "must be a list of keys")
    end.

%% @doc Whether a write that raised this reason may have happened.
%%
%% `not_applied': it did not happen and never will. `unknown': it may have happened, or may still
%% happen; to find out, read the key. For whatever is not a reason of this module it is `unknown'.
%%
%% ```
%% try ram:put(Key, Value)
%% catch error:Reason -> case ram:outcome(Reason) of
%%                           not_applied -> retry_elsewhere;
%%                           unknown -> read_before_retry
%%                       end
%% end
%% '''
-spec outcome(ram_error:failure() | term()) -> not_applied | unknown.
outcome(Reason) ->
    ram_error:outcome(Reason).

%% @doc Writes all keys and values into a new file on this node, while reads and writes go on.
%%
%% The file holds the table as it was at one moment: all that was acknowledged anywhere before the
%% call, and of what was written during it the first part. Every byte is checksummed. It appears
%% under its name when it is whole and on disk; until then it is `File' with `.tmp' behind it.
%% `{error, {file, Text}}' when the file exists, its folder does not, or the disk failed; nothing is
%% left then, and nothing is ever overwritten. Only a node that is killed meanwhile leaves the file
%% with `.tmp', which has to be deleted before the next backup of that name. A snapshot of the log
%% waits for a backup, and a backup for a snapshot. There is no time limit to the whole; without a
%% majority it ends with `{timeout, {ram, Node}}' after six times `call_timeout_ms'.
%%
%% ```
%% 1> ram:backup("/backups/monday.ram").
%% ok
%% 2> ram:backup("/backups/monday.ram").
%% {error,{file,<<"/backups/monday.ram: the file exists">>}}
%% '''
-spec backup(file:name_all()) -> ok | {error, ram_error:cluster_error()}.
backup(File) ->
    ram_request:backup(checked_file(File)).

%% @doc Puts all that a backup holds into this cluster, which must be empty.
%%
%% The file is one that this node can read. The whole of it is verified before the first put: if it
%% was cut, or a byte in it has changed, nothing is restored; `{error, {file, Text}}' tells where.
%% `{error, not_empty}' when the cluster holds any key. Nobody should write until it returns: the
%% entries are put one after the other, over what others write.
%%
%% `{error, {partly, Restored, Total, Reason}}' when the cluster or the file failed half-way: at
%% least `Restored' of the `Total' entries are there. Then stop_cluster/1, start_cluster/1 and
%% another restore/1 begin afresh. A file is as trusted as the code of a node: restore your own.
%%
%% ```
%% 1> ram:stop_cluster(Nodes), ram:start_cluster(Nodes).
%% ok
%% 2> ram:restore("/backups/monday.ram").
%% ok
%% '''
-spec restore(file:name_all()) -> ok | {error, ram_error:cluster_error()}.
restore(File) ->
    ram_request:restore(checked_file(File)).

%% @doc The node that leads the cluster, as this node knows it; `undefined' while none is elected.
-spec leader() -> node() | undefined.
leader() ->
    ram_cluster:leader().

%% @doc What this node knows of itself and its cluster.
%%
%% Among others: `node', `leader', `role' (leader, candidate, follower, learner), `term', `members'
%% (a map for each: `node', `id', `address', `standing', and `heard_ms', how long ago this node
%% heard of it), `quorum' (is a majority reached? if not, `quorum_lost_ms' says for how long it has
%% not been, and nobody leads), `peers' (a map for each other member: `address', `connected', and
%% `outage', with the cause, when it is not reached), `last_log_index', `last_log_term',
%% `applied_index', `snapshot_index', `entries' (keys in the table), `entry_bytes' (bytes of keys
%% and values), `applied_groups' (log entries with writes, applied here since the start), `waiting'
%% (requests without an answer yet), `reads' (a {@type read_status()}: how many reads were answered
%% in the call, `local', after a wait for a key that was being written, `waited', and by a `quorum';
%% and the `lease', `held' or why not), `log' (`syncs', `bytes_written', `disk_bytes', `segments')
%% and `net' (frames, bytes, connections, `refusals' by kind), `storage' (disk or memory) and
%% `data_dir', an absolute path (`undefined' for what is kept in memory).
%%
%% Where no member runs it says so, and never raises: `node', `data_dir', `storage' as it is set
%% (`any': as the cluster is made), and either `role' down with the `failure' of the member, or
%% `role' none with the `reason': `not_started' (the application does not run), `no_cluster',
%% `unnamed' (`-name undefined': the node gets its name with its first connection), or `busy' (with
%% its data: ask again), and then `work' says with what: starting, stopping, erasing, recovering or
%% renaming.
-spec status() -> map().
status() ->
    ram_cluster:status().

checked_nodes([_ | _] = Nodes) ->
    case is_list_of(fun erlang:is_atom/1, Nodes) of
        true -> lists:usort(Nodes);
        false -> ram_error:badarg([Nodes], 1, "must be a list of node names")
    end;
checked_nodes([]) ->
    ram_error:badarg([[]], 1, "must name one node at least");
checked_nodes(Other) ->
    ram_error:badarg([Other], 1, "must be a list of node names").

checked_file(File) ->
    try unicode:characters_to_binary(filename:absname(File)) of
        Path when is_binary(Path) -> Path;
        _NoText -> ram_error:badarg([File], 1, "must be a file name in Unicode")
    catch
        error:_ -> ram_error:badarg([File], 1, "must be a file name")
    end.

is_pair({_, _}) -> true;
is_pair(_) -> false.

%% A list in full: an improper one is none.
is_list_of(Is, [Element | Rest]) -> Is(Element) andalso is_list_of(Is, Rest);
is_list_of(_Is, Rest) -> Rest =:= [].
