%% @doc Names of processes, each of one process in the whole cluster: what `global' is, kept in a
%% consistent table.
%%
%% It is a module for `{via, ram_registry, Name}', which `gen_server', `gen_statem', `supervisor'
%% and their kin take wherever they take a name:
%% ```
%% gen_server:start_link({via, ram_registry, {room, 7}}, room, [], []).
%% gen_server:call({via, ram_registry, {room, 7}}, guests).
%% '''
%%
%% A name is any term that may be a key. It is taken by a write, so a majority agrees whose it is,
%% also while the network is split; and found by a read of `ram', at the price of a lookup. It goes
%% with the process: at once when that ends, or when its node is gone for `owner_timeout_ms' (15000
%% by default), or starts again. What cannot be said now (on a node without a majority, above all)
%% is raised: `{timeout, {ram, Node}}' and what else `ram' raises; see {@link ram}.
%%
%% A process that lost its name while it lived, since its node was cut off or frozen for so long, is
%% sent `{ram_event, owner_lost, Name, Rev}' when its node knows. Somebody else may have the name
%% then, so it should stop:
%% ```
%% handle_info({ram_event, owner_lost, _Name, _Rev}, State) ->
%%     {stop, {shutdown, name_lost}, State}.
%% '''
%% Until then there are two processes, of which one has the name. What they do to something outside
%% of them must be checked there: see `ram:lock/1'.
-module(ram_registry).

-export([register_name/2, unregister_name/1, whereis_name/1, send/2, names/0]).

-define(TABLE, {'$ram_registry', set}).
-define(NAME, '$ram_registry').
-define(DEPTH, 12).

%% @doc Gives a process a name, unless it is taken.
%%
%% Of all who register a name one is answered `yes'. It is `no' for a process that has the name
%% already, too. A process may have any number of names, and be one of another node of the cluster.
%%
%% ```
%% 1> ram_registry:register_name(greeter, self()).
%% yes
%% 2> ram_registry:register_name(greeter, self()).
%% no
%% '''
-spec register_name(Name :: term(), pid()) -> yes | no.
register_name(Name, Pid) ->
    Call = {?MODULE, register_name, [Name, Pid]},
    is_pid(Pid)
        orelse ram_arguments:wrong(Call, 2, "must be a process, and is ~0tP", [Pid, ?DEPTH]),
    register_if([{none, Name, absent}], [], Name, Pid, Call).

%% A process that has ended here need not be waited for: its supervisor may start it again before
%% the cluster knows.
register_if(Conditions, Deletes, Name, Pid, Call) ->
    Put = ram_own_table:owned(Name, Pid, Pid, default, Call),
    Look = [{get, none, Name}],
    case ram_own_table:run(?TABLE, default, Conditions, Deletes ++ [Put], Look, Call) of
        {ran, true, _, []} -> yes;
        {ran, false, _, [none]} -> register_if([{none, Name, absent}], [], Name, Pid, Call);
        {ran, false, _, [Held]} ->
            case is_gone(ram_request:decoded(element(1, Held), Name, Call)) of
                true ->
                    Same = [{none, Name, {rev, '=', element(2, Held)}}],
                    register_if(Same, [{delete, none, Name}], Name, Pid, Call);
                false -> no
            end;
        {error, Reason} -> ram_write:failed(Reason, [], Call)
    end.

%% @doc Takes a name away, whoever has it; of one that nobody has `ok', too.
%%
%% ```
%% 1> ram_registry:register_name(guest, self()).
%% yes
%% 2> ram_registry:unregister_name(guest).
%% ok
%% 3> ram_registry:whereis_name(guest).
%% undefined
%% '''
-spec unregister_name(Name :: term()) -> ok.
unregister_name(Name) ->
    Call = {?MODULE, unregister_name, [Name]},
    case ram_own_table:run(?TABLE, default, [], [{delete, none, Name}], [], Call) of
        {ran, true, _, []} -> ok;
        {error, Reason} -> ram_write:failed(Reason, [], Call)
    end.

%% @doc The process that has a name, or `undefined'.
%%
%% A process of this node that has ended is not found, also before the cluster knows. One of another
%% node may have ended a moment ago.
%%
%% ```
%% 1> ram_registry:register_name(host, self()).
%% yes
%% 2> ram_registry:whereis_name(host) =:= self().
%% true
%% 3> ram_registry:whereis_name(nobody).
%% undefined
%% '''
-spec whereis_name(Name :: term()) -> pid() | undefined.
whereis_name(Name) ->
    found(Name, {?MODULE, whereis_name, [Name]}).

%% A process that has ended here has its name no more, whatever the cluster knows.
found(Name, Call) ->
    Pid = case ram_read:own(?NAME, Name, undefined) of
              'ram fetch' -> looked_up(Name, Call);
              Found -> Found
          end,
    case is_pid(Pid) andalso is_gone(Pid) of
        true -> undefined;
        false -> Pid
    end.

looked_up(Name, Call) ->
    case ram_lookup:item(ram_options:own(#{table => ?NAME}, Call), Name) of
        {value, Pid, _Meta} -> Pid;
        none -> undefined;
        {error, {no_table, _}} -> undefined;
        Failed -> ram_lookup:checked(Failed, Call)
    end.

%% A process of this node that has ended, or of an earlier run of it.
is_gone(Pid) when node(Pid) =:= node() ->
    try not is_process_alive(Pid)
    catch error:badarg -> true
    end;
is_gone(_OfAnotherNode) ->
    false.

%% @doc Sends the process that has a name a message; exits with `{badarg, {Name, Message}}' when
%% nobody has it.
%%
%% ```
%% 1> ram_registry:register_name(reader, self()).
%% yes
%% 2> ram_registry:send(reader, hello), receive hello -> came end.
%% came
%% '''
-spec send(Name :: term(), Message :: term()) -> pid().
send(Name, Message) ->
    case found(Name, {?MODULE, send, [Name, Message]}) of
        undefined -> exit({badarg, {Name, Message}});
        Pid -> Pid ! Message, Pid
    end.

%% @doc All names that are taken, in no order.
%%
%% ```
%% 1> ram_registry:register_name(member, self()).
%% yes
%% 2> ram_registry:names().
%% [member]
%% '''
-spec names() -> [Name :: term()].
names() ->
    Call = {?MODULE, names, []},
    ram_own_table:keys(all, ram_options:own(#{table => ?NAME}, Call), Call).
