%% @doc What can go wrong, in one place: the reasons, and what they say in words.
%%
%% Wrong arguments raise `badarg'; what the system could not do raises a {@type failure()}. Either
%% way the exception is that of the call of `ram' as its user made it, and the shells of Erlang and
%% Elixir print an explanation with it. What concerns the cluster is returned as
%% `{error, Reason}', where the reason is a {@type cluster_error()}.
%%
%% {@link explain/1} puts any of these reasons into words, for a log or a user:
%% ```
%% 1> {error, Reason} = ram:remove_node('ram4@127.0.0.1').
%% {error,{not_member,'ram4@127.0.0.1'}}
%% 2> unicode:characters_to_binary(ram_error:explain(Reason)).
%% <<"ram4@127.0.0.1 is no member of the cluster; ram:nodes() lists the members">>
%% '''
-module(ram_error).

-export([badarg/3, failure/1, failure/2, arguments/1, outcome/1, cluster/1]).
-export([explain/1, format_error/2]).
-export_type([failure/0, cluster_error/0, call/0]).

-type failure() ::
        noproc                                  % this node runs no member; nothing happened
      | {timeout, {ram, node()}}                % no answer in time; it may have happened
      | {overloaded, {ram, node()}}             % too much waits on this node; nothing happened
      | {value_too_large, Bytes :: non_neg_integer(), BytesMax :: pos_integer()}
      | {key_too_large, BytesMax :: pos_integer()}
      | {batch_too_large, BytesMax :: pos_integer()}
        %% This node's OTP has no term for the value: a newer one put it. Nothing happened.
      | {unreadable_value, Key :: term()}
        %% As much for a key that a scan met, as its encoded bytes. Nothing happened.
      | {unreadable_key, Bytes :: binary()}
        %% The scan of this revision was not used for a minute, or held too much back. Nothing
        %% happened.
      | {expired, ram:rev()}
        %% The write is done, and this node's OTP has no term for the value that it answered with.
      | {unreadable_result, Key :: term()}
      | {no_table, Name :: atom()}              % nothing happened
      | {too_many_tables, TablesMax :: pos_integer()}
      | {not_an_integer, Key :: term()}         % a counter; nothing was changed
      | {results_too_large, BytesMax :: pos_integer()}
        %% The ranges that a transaction read have more entries together; nothing was changed.
      | {ranges_too_large, EntriesMax :: pos_integer()}
        %% Comparing the expected values takes more steps; nothing was changed.
      | {compared_too_large, StepsMax :: pos_integer()}
        %% Others changed the key whenever the fun had run, as often as `retries' allows.
      | {conflict, Key :: term()}
        %% A defect of ram that the leader detected. Nothing happened.
      | {refused, Why :: binary()}.

-type cluster_error() ::
        {unreachable, [node()]}                 % no answer over Erlang distribution
      | {not_started, node(), term()}           % the application did not start there
      | {already_clustered, [node()]}           % these belong to another cluster
      | {storage_mismatch, node(), Set :: disk | memory, Asked :: disk | memory}
      | {majority_lost, [node()]}             % so many came back without their data
      | {not_member, node()}
      | {last_member, node()}                   % stop_cluster ends a cluster
        %% The member of the node, which the change needs, does not answer; nothing is changed.
      | {not_reached, node(), Address :: binary(), Cause :: binary()}
        %% It answers and did not get all the data; nothing is changed.
      | {not_caught_up, node(), Address :: binary(), Why :: binary()}
      | {timeout, {ram, node()}}
      | {running_on, [node()], term()}          % the cluster runs there; the rest failed
      | {bad_config, binary(), binary()}
      | {not_erased, node(), binary()}          % which file could not be deleted, and why
        %% Among others with `{unreadable, Text}' (what of the data folder could not be read, and
        %% what to do; nothing was deleted), `{in_use, Text}' (another process has the folder),
        %% `{busy, Work}' (the node has other work for so long; nothing was done).
      | {failed, node(), term()}
      | {file, binary()}                        % which file, where in it, what; nothing happened
      | not_empty                               % a backup is restored into an empty cluster only
        %% So many entries of a backup were put, then this; more may have been.
      | {partly, Restored :: non_neg_integer(), Total :: pos_integer(), cluster_error()}
      | {value_too_large, Bytes :: non_neg_integer(), BytesMax :: pos_integer()}
      | {key_too_large, BytesMax :: pos_integer()}
      | {overloaded, {ram, node()}}
      | noproc.

%% A call of a function as its user made it, of `ram' where no module is named.
-type call() :: {Function :: atom(), Arguments :: [term()]}
              | {module(), Function :: atom(), Arguments :: [term()]}.

%% Modules that may be on the stack between such a call and where it fails.
-define(OWN, [?MODULE, ram, ram_arguments, ram_lock, ram_lookup, ram_options, ram_own_table,
              ram_owned, ram_read, ram_registry, ram_request, ram_scan, ram_transaction, ram_tx,
              ram_txn, ram_update, ram_watch, ram_write, erlang]).
%% Arguments up to this size, encoded, are told: an exception is copied and logged, with what is in
%% it. The arity stands in for larger ones.
-define(ARGUMENTS_BYTES_MAX, 4096).
%% How much of a term is printed.
-define(DEPTH, 30).

%% @private Raises badarg for an argument of the call, and says what is wrong with it.
-spec badarg(call(), Position :: pos_integer() | general, Why :: unicode:chardata()) -> no_return().
badarg(Call, Position, Why) ->
    raise(badarg, Call, #{cause => #{Position => text(Why)}}).

%% @private Raises what a request failed with, for callers inside.
-spec failure(term()) -> no_return().
failure(Reason) ->
    error(reason(Reason)).

%% @private Raises what the call failed with.
-spec failure(term(), call()) -> no_return().
failure(Reason, Call) ->
    raise(reason(Reason), Call, #{}).

reason(timeout) -> {timeout, {ram, node()}};
reason(overloaded) -> {overloaded, {ram, node()}};
reason(Reason) -> Reason.

%% As if the function of ram itself raised it: how ram is made inside is of no use to its callers.
-spec raise(term(), call(), map()) -> no_return().
raise(Reason, {Function, Arguments}, Info) ->
    raise(Reason, {ram, Function, Arguments}, Info);
raise(Reason, {Module, Function, Arguments}, Info) ->
    {current_stacktrace, Frames} = process_info(self(), current_stacktrace),
    Callers = lists:dropwhile(fun({Of, _, _, _}) -> lists:member(Of, ?OWN) end, Frames),
    Location = [{error_info, Info#{module => ?MODULE}}],
    erlang:raise(error, Reason, [{Module, Function, told(Arguments), Location} | Callers]).

%% @private The arguments of a call.
-spec arguments(call()) -> [term()].
arguments({_Function, Arguments}) -> Arguments;
arguments({_Module, _Function, Arguments}) -> Arguments.

told(Arguments) ->
    case erlang:external_size(Arguments) =< ?ARGUMENTS_BYTES_MAX of
        true -> Arguments;
        false -> length(Arguments)
    end.

%% @private See ram:outcome/1.
-spec outcome(failure() | term()) -> not_applied | unknown.
outcome(noproc) -> not_applied;
outcome({overloaded, {ram, _Node}}) -> not_applied;
outcome({value_too_large, _Bytes, _BytesMax}) -> not_applied;
outcome({key_too_large, _BytesMax}) -> not_applied;
outcome({batch_too_large, _BytesMax}) -> not_applied;
outcome({unreadable_value, _Key}) -> not_applied;
outcome({unreadable_key, _Bytes}) -> not_applied;
outcome({expired, _Revision}) -> not_applied;
outcome({no_table, _Name}) -> not_applied;
outcome(no_table) -> not_applied;
outcome(exists) -> not_applied;
outcome({too_many_tables, _TablesMax}) -> not_applied;
outcome({not_an_integer, _Key}) -> not_applied;
outcome({results_too_large, _BytesMax}) -> not_applied;
outcome({ranges_too_large, _EntriesMax}) -> not_applied;
outcome({compared_too_large, _StepsMax}) -> not_applied;
outcome({conflict, _Key}) -> not_applied;
%% A defect: the leader could not read the write, and did not take it.
outcome({refused, _Why}) -> not_applied;
outcome(badarg) -> not_applied;
%% Of the reasons that calls return those that say that nothing happened.
outcome(not_empty) -> not_applied;
outcome({Kind, _})
  when Kind =:= file; Kind =:= not_member; Kind =:= last_member; Kind =:= already_clustered ->
    not_applied;
outcome(_TimeoutOrNotOurs) -> unknown.

%% @private The reason of a failed change of the cluster, backup or restore, as the API tells it.
-spec cluster(term()) -> cluster_error().
cluster(timeout) -> {timeout, {ram, node()}};
cluster(overloaded) -> {overloaded, {ram, node()}};
cluster(noproc) -> noproc;
cluster({not_member, Name}) -> {not_member, binary_to_atom(Name)};
cluster({last_member, Name}) -> {last_member, binary_to_atom(Name)};
cluster({not_reached, Name, Address, Cause}) ->
    {not_reached, binary_to_atom(Name), Address, Cause};
cluster({not_caught_up, Name, Address, Why}) ->
    {not_caught_up, binary_to_atom(Name), Address, Why};
cluster({config, Key, Why}) -> {bad_config, Key, Why};
cluster(other_cluster) -> {already_clustered, [node()]};
cluster({file, What}) -> {file, What};
cluster(not_empty) -> not_empty;
cluster({partly, Restored, Total, Reason}) -> {partly, Restored, Total, cluster(Reason)};
cluster({value_too_large, _, _} = Reason) -> Reason;
cluster({key_too_large, _} = Reason) -> Reason;
cluster(Reason) -> {failed, node(), Reason}.

%% @private What the shells print with an exception. Binaries: Elixir takes nothing else.
-spec format_error(term(), erlang:stacktrace()) -> #{pos_integer() | general | reason => binary()}.
format_error(Reason, [{_Module, _Function, _Arguments, Info} | _]) ->
    case {proplists:get_value(error_info, Info, #{}), Reason} of
        {#{cause := Why}, _} -> maps:map(fun(_Position, Words) -> text(Words) end, Why);
        %% Without `reason' Erlang prints "no such process or port".
        {_, noproc} -> #{reason => <<"noproc">>, general => text(absence(ram_node:status()))};
        {_, _} -> #{general => text(explain(Reason))}
    end.

text(Words) ->
    unicode:characters_to_binary(Words).

%% Why this node runs no member, and what its user may do.
absence(#{role := none, reason := not_started}) ->
    "the application ram does not run on this node; ram:start() starts it, and so does naming it "
        "among the applications of your own";
absence(#{role := none, reason := no_cluster}) ->
    "this node belongs to no cluster yet; ram:start_cluster(Nodes) makes or finds one, and "
        "ram:add_node(Node), called on a member, takes a node in";
absence(#{role := none, reason := unnamed}) ->
    "this node has no name yet (-name undefined); it gets one with its first connection to another "
        "node, and a member with it";
absence(#{role := none, work := Work}) ->
    io_lib:format("the member of this node is ~ts just now; try again, ram:status() says when it "
                  "serves", [Work]);
absence(#{role := down, failure := Why}) ->
    io_lib:format("the member of this node is down: ~ts; ram:restart_server() starts it again",
                  [explain(Why)]);
absence(_Running) ->
    explain(noproc).

%% @doc Puts a reason into words: what it means, whom it names, and what to do.
%%
%% The reason is one that a call of `ram' raised, or returned as `{error, Reason}'. The answer is
%% one sentence without a full stop, for whatever prints text. Any other term is printed as it is.
%%
%% ```
%% 1> unicode:characters_to_list(ram_error:explain({last_member, 'ram1@127.0.0.1'})).
%% "ram1@127.0.0.1 is the last member, which is not removed; ram:stop_cluster(Nodes) ends a cluster"
%% '''
-spec explain(failure() | cluster_error() | term()) -> unicode:chardata().
explain(Reason) ->
    %% What only looks like a reason of ours is printed as it is.
    try words(Reason, [fun of_call/1, fun of_scan/1, fun of_write/1, fun of_cluster/1,
                       fun of_backup/1, fun of_member/1])
    catch error:_ -> print("~0tP", [Reason, ?DEPTH])
    end.

words(Reason, [Of | More]) ->
    case Of(Reason) of
        unknown -> words(Reason, More);
        Words -> Words
    end.

%% Reasons that operations on keys raise.
of_call(badarg) ->
    "an argument is wrong";
of_call(noproc) ->
    "this node runs no member of a cluster; ram:status() says why, and ram:start_cluster(Nodes) "
        "makes or finds a cluster";
of_call({timeout, {ram, Node}}) ->
    print("~ts had no answer in time; a write may have happened, or may still happen "
          "(ram:outcome/1), a read did nothing; is a majority of the members reached? See quorum "
          "and peers in ram:status(); does the fun of an update take longer than call_timeout_ms?",
          [Node]);
of_call({overloaded, {ram, Node}}) ->
    print("too many requests wait on ~ts, and nothing happened; call from fewer processes at once "
          "and try again later, or raise queue_requests_max and queue_bytes_max", [Node]);
of_call({value_too_large, Bytes, Max}) ->
    print("the value has ~b bytes, and value_bytes_max of this node is ~b; nothing happened",
          [Bytes, Max]);
of_call({key_too_large, Max}) ->
    print("the encoded key has more bytes than key_bytes_max of this node, which is ~b; nothing "
          "happened", [Max]);
of_call({batch_too_large, Max}) ->
    print("the entries have more bytes together than one log entry may have, which is ~b "
          "(key_bytes_max and value_bytes_max); nothing happened; put them in several calls",
          [Max]);
of_call({unreadable_value, Key}) ->
    print("the OTP of this node (~ts) has no term for the value of ~0tP, which a node with a newer "
          "one put; it is intact: read it there, or put another",
          [erlang:system_info(otp_release), Key, ?DEPTH]);
of_call({refused, Why}) ->
    print("the leader refused the request (~ts) and nothing happened; this is a defect of ram, "
          "please report it", [Why]);
of_call(_) ->
    unknown.

%% Reasons of scans, which read keys too.
of_scan({unreadable_key, _Bytes}) ->
    print("the OTP of this node (~ts) has no term for a key, which a node with a newer one put; "
          "read it there", [erlang:system_info(otp_release)]);
of_scan({expired, Revision}) ->
    print("the scan of revision ~b is over: it was not used for 60 s, or more than 256 MiB of the "
          "table have changed since; begin another", [Revision]);
of_scan(_) ->
    unknown.

%% Reasons that writes alone raise.
of_write({unreadable_result, Key}) ->
    print("the write is done, and the OTP of this node (~ts) has no term for the value of ~0tP "
          "that it found, which a node with a newer one had put",
          [erlang:system_info(otp_release), Key, ?DEPTH]);
of_write({no_table, Name}) ->
    print("there is no table ~tp, and nothing happened; ram:create_table/2 makes one", [Name]);
of_write({too_many_tables, Max}) ->
    print("there are ~b tables with the default one, and no more are made; ram:drop_table/1 makes "
          "room", [Max]);
of_write({not_an_integer, Key}) ->
    print("the value of ~0tP is no integer, or would be one too large for some OTP; nothing was "
          "changed", [Key, ?DEPTH]);
of_write({results_too_large, Max}) ->
    print("the values that the call would be answered with have more than ~b bytes; nothing "
          "happened; ask for fewer at once", [Max]);
of_write({ranges_too_large, Max}) ->
    print("the ranges that the transaction read have more than ~b entries together; nothing was "
          "changed; read smaller ranges, or fewer entries by the option limit", [Max]);
of_write({compared_too_large, Max}) ->
    print("to compare the values that are expected takes more than ~b steps, of a term or 512 "
          "bytes each; nothing was changed; of a large value expect {rev, Rev}", [Max]);
of_write({conflict, Key}) ->
    print("others changed ~0tP whenever the fun had run, as often as the option retries allows; "
          "nothing was changed; call again, or allow more", [Key, ?DEPTH]);
%% What is returned for a table.
of_write(exists) ->
    "a table of this name is there";
of_write(no_table) ->
    "there is no table of this name";
of_write(_) ->
    unknown.

%% Reasons that operations on the cluster return.
of_cluster({unreachable, Nodes}) ->
    print("~ts cannot be reached over Erlang distribution; ~tsare they started, with this cookie, "
          "and do names resolve? net_adm:ping/1 must answer pong", [names(Nodes), nameless()]);
of_cluster({not_started, Node, Why}) ->
    print("the application ram does not start on ~ts: ~ts", [Node, explain(Why)]);
of_cluster({already_clustered, Nodes}) ->
    print("~ts have a cluster that is not the one asked for; ram:add_node(Node) on one of them "
          "takes a node in, ram:stop_cluster(Nodes) deletes a cluster", [names(Nodes)]);
of_cluster({storage_mismatch, Node, Set, Asked}) ->
    print("~ts is stored as ~ts, and ~ts was asked for; ask for ~ts, or change the setting storage",
          [Node, Set, Asked, Set]);
of_cluster({majority_lost, Nodes}) ->
    print("~ts came back without data, so no majority is left; start the nodes that have theirs, "
          "or ram:force_recover/1 on a survivor", [names(Nodes)]);
of_cluster({not_member, Node}) ->
    print("~ts is no member of the cluster; ram:nodes() lists the members", [Node]);
of_cluster({last_member, Node}) ->
    print("~ts is the last member, which is not removed; ram:stop_cluster(Nodes) ends a cluster",
          [Node]);
of_cluster({not_reached, Node, Address, Cause}) ->
    print("the member of ~ts is not reached at ~ts (~ts), and nothing was changed; see to the "
          "network, and to the settings listen and advertise there", [Node, Address, Cause]);
of_cluster({not_caught_up, Node, Address, Why}) ->
    print("the new member of ~ts at ~ts did not catch up (~ts) and was taken out again; see its "
          "log and the network, and call again", [Node, Address, Why]);
of_cluster({running_on, Nodes, Why}) ->
    print("the cluster serves on ~ts; elsewhere: ~ts", [names(Nodes), explain(Why)]);
of_cluster({bad_config, Key, Why}) ->
    print("the setting ~ts of the application ram ~ts", [Key, Why]);
of_cluster({not_erased, Node, Why}) ->
    print("data of ~ts could not be deleted (~ts); the next start of the application there tries "
          "again", [Node, Why]);
of_cluster({failed, Node, Why}) ->
    print("~ts: ~ts", [Node, explain(Why)]);
of_cluster(_) ->
    unknown.

%% The likely cause when somebody tries a cluster from a shell for the first time.
nameless() ->
    case is_alive() of
        true -> "";
        false -> "this node has no name itself, which -name or -sname gives it; "
    end.

of_backup({file, Why}) ->
    print("~ts", [Why]);
of_backup(not_empty) ->
    "the cluster holds keys, and a backup is restored into an empty one; nothing was changed";
of_backup({partly, Restored, Total, Why}) ->
    print("~b of ~b entries were restored, then: ~ts; stop_cluster, start_cluster and restore "
          "begin afresh", [Restored, Total, explain(Why)]);
of_backup(_) ->
    unknown.

%% What happened inside a node, as part of the others.
of_member({busy, Work}) ->
    print("its member is ~ts, and nothing was done; ask again", [Work]);
of_member(unnamed) ->
    "it has no name yet (-name undefined); connect it to a node first";
of_member({no_answer, _Why}) ->
    "its member does not answer; it opens or deletes a lot of data, or the node is frozen: wait, "
        "and call again";
of_member({belongs_to, _Cluster}) ->
    "it belongs to another cluster than the one confirmed; ram:status() tells its id (cluster)";
%% What application:ensure_all_started/1 says.
of_member({ram, {Why, {ram_app, start, _Arguments}}}) ->
    explain(Why);
of_member({removed, Name}) ->
    print("~ts was removed from the cluster; ram:add_node(Node) takes it in as a new member",
          [Name]);
%% Of the library, which names the file and the remedy: unreadable, in_use, renamed, failed ...
of_member({Kind, Text}) when is_atom(Kind), is_binary(Text) ->
    print("~ts", [Text]);
of_member(Reason) ->
    print("~0tP", [Reason, ?DEPTH]).

print(Format, Arguments) ->
    io_lib:format(Format, Arguments).

names(Nodes) ->
    lists:join(", ", [print("~ts", [Node]) || Node <- Nodes]).
