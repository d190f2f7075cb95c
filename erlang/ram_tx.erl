%% @doc What the fun of a transaction reads and writes: see `ram:transaction/1'.
%%
%% All that a transaction reads is of one revision, with its own writes. These become visible to
%% others when the fun has returned, all of them at once; or never. The first argument is the one
%% that the fun was called with, and only the process that runs the fun may use it.
%%
%% The options are `table', the name of a table, for {@link put/4} `ttl', and for {@link range/4}
%% `limit', `reverse' and `keys_only'.
-module(ram_tx).

-export([get/2, get/3, get/4, fetch/2, fetch/3, put/3, put/4, delete/2, delete/3]).
-export([range/4, abort/2]).

-export_type([tx/0]).

-compile({no_auto_import, [get/1, get/2, put/2]}).

-type tx() :: ram_transaction:tx().
%% A transaction whose fun is running.
-type options() :: #{table => atom()}.
%% Without a table it is the default one.
-type put_options() :: #{ttl => ram:ttl(), table => atom()}.
%% With `ttl' the key stays for so long: see `ram:touch/2'.

%% @doc The value of a key, or `undefined' when the key is absent.
%%
%% ```
%% 1> ram:transaction(fun(Tx) -> ram_tx:get(Tx, nothing) end).
%% {ok,undefined}
%% '''
-spec get(tx(), Key :: term()) -> Value :: term() | undefined.
get(Tx, Key) ->
    value(ram_transaction:fetch(Tx, Key, {[], {?MODULE, get, [Tx, Key]}}), undefined).

%% @doc The value of a key, or `Default' when the key is absent.
%%
%% ```
%% 1> ram:transaction(fun(Tx) -> ram_tx:get(Tx, hits, 0) end).
%% {ok,0}
%% '''
-spec get(tx(), Key :: term(), Default) -> Value :: term() | Default.
get(Tx, Key, Default) ->
    value(ram_transaction:fetch(Tx, Key, {[], {?MODULE, get, [Tx, Key, Default]}}), Default).

%% @doc As get/3, with the option `table'.
%%
%% ```
%% 1> ram:transaction(fun(Tx) -> ram_tx:get(Tx, hits, 0, #{table => default}) end).
%% {ok,0}
%% '''
-spec get(tx(), Key :: term(), Default, options()) -> Value :: term() | Default.
get(Tx, Key, Default, Options) ->
    Call = {?MODULE, get, [Tx, Key, Default, Options]},
    value(ram_transaction:fetch(Tx, Key, {[Options], Call}), Default).

value({ok, Value}, _Default) -> Value;
value(error, Default) -> Default.

%% @doc The value of a key, or `error' when the key is absent.
%%
%% ```
%% 1> ram:put(colour, blue), ram:transaction(fun(Tx) -> ram_tx:fetch(Tx, colour) end).
%% {ok,{ok,blue}}
%% '''
-spec fetch(tx(), Key :: term()) -> {ok, Value :: term()} | error.
fetch(Tx, Key) ->
    ram_transaction:fetch(Tx, Key, {[], {?MODULE, fetch, [Tx, Key]}}).

%% @doc As fetch/2, with the option `table'.
%%
%% ```
%% 1> ram:transaction(fun(Tx) -> ram_tx:fetch(Tx, nothing, #{table => default}) end).
%% {ok,error}
%% '''
-spec fetch(tx(), Key :: term(), options()) -> {ok, Value :: term()} | error.
fetch(Tx, Key, Options) ->
    ram_transaction:fetch(Tx, Key, {[Options], {?MODULE, fetch, [Tx, Key, Options]}}).

%% @doc Sets the value of a key.
%%
%% ```
%% 1> ram:transaction(fun(Tx) -> ram_tx:put(Tx, lamp, on), ram_tx:get(Tx, lamp) end).
%% {ok,on}
%% '''
-spec put(tx(), Key :: term(), Value :: term()) -> ok.
put(Tx, Key, Value) ->
    ram_transaction:put(Tx, Key, Value, {[], {?MODULE, put, [Tx, Key, Value]}}).

%% @doc As put/3, with the options `table', `ttl' and `owner', as in `ram:put/3'.
%%
%% ```
%% 1> ram:transaction(fun(Tx) ->
%%        ram_tx:put(Tx, from, 90, #{table => default}),
%%        ram_tx:put(Tx, to, 10),
%%        ram_tx:get(Tx, from)
%%    end).
%% {ok,90}
%% '''
-spec put(tx(), Key :: term(), Value :: term(), put_options()) -> ok.
put(Tx, Key, Value, Options) ->
    Call = {?MODULE, put, [Tx, Key, Value, Options]},
    ram_transaction:put(Tx, Key, Value, {[Options], Call}).

%% @doc Deletes a key; one that is absent is no error.
%%
%% ```
%% 1> ram:transaction(fun(Tx) -> ram_tx:delete(Tx, lamp), ram_tx:fetch(Tx, lamp) end).
%% {ok,error}
%% '''
-spec delete(tx(), Key :: term()) -> ok.
delete(Tx, Key) ->
    ram_transaction:delete(Tx, Key, {[], {?MODULE, delete, [Tx, Key]}}).

%% @doc As delete/2, with the option `table'.
%%
%% ```
%% 1> ram:transaction(fun(Tx) -> ram_tx:delete(Tx, from, #{table => default}) end).
%% {ok,ok}
%% '''
-spec delete(tx(), Key :: term(), options()) -> ok.
delete(Tx, Key, Options) ->
    ram_transaction:delete(Tx, Key, {[Options], {?MODULE, delete, [Tx, Key, Options]}}).

%% @doc The entries of a range of an ordered table, as `ram:range/3' gives them.
%%
%% What is inserted into the range or deleted from it by others, before the transaction is done,
%% makes it run again.
%%
%% ```
%% 1> ram:create_table(log, #{type => ordered_set}).
%% ok
%% 2> ram:transaction(fun(Tx) ->
%%        ram_tx:put(Tx, 1, first, #{table => log}),
%%        ram_tx:range(Tx, '$first', '$last', #{table => log})
%%    end).
%% {ok,[{1,first}]}
%% '''
-spec range(tx(), From :: term(), To :: term(),
            #{table => atom(), limit => pos_integer(), reverse => boolean(),
              keys_only => boolean()}) -> [{Key :: term(), Value :: term()} | (Key :: term())].
range(Tx, From, To, Options) ->
    ram_transaction:range(Tx, From, To, Options, {?MODULE, range, [Tx, From, To, Options]}).

%% @doc Ends the transaction: nothing is written, and it returns `{aborted, Reason}'.
%%
%% ```
%% 1> ram:transaction(fun(Tx) -> ram_tx:abort(Tx, changed_my_mind) end).
%% {aborted,changed_my_mind}
%% '''
-spec abort(tx(), Reason :: term()) -> no_return().
abort(Tx, Reason) ->
    ram_transaction:abort(Tx, Reason).
